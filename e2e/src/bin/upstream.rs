//! The demo app as a program of its own: `upstream [ADDRESS]`, 127.0.0.1:8000 by default.

use std::env;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;

fn main() -> Result<()> {
    let address = env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(&address)
            .await
            .with_context(|| format!("listen on {address}"))?;
        axum::serve(listener, gatepost_e2e::doubles::upstream::router()).await?;
        Ok(())
    })
}

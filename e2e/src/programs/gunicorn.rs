//! An application of WSGI behind gunicorn.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use reqwest::StatusCode;
use url::Url;

use super::Service;
use crate::layout;
use crate::tools::{PythonPackage, Tool as _};

/// An application that shows the path that gunicorn has read, until it is dropped.
#[derive(Debug)]
pub struct Gunicorn {
    _service: Service,
    url: Url,
}

impl Gunicorn {
    /// Starts it on this port, with the settings that it has without any.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start(port: u16, logs: &Path) -> Result<Self> {
        Self::serving("application", port, logs)
    }

    /// Starts it with an application that takes the prefix in `X-Forwarded-Prefix` away from its path.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn behind_prefix(port: u16, logs: &Path) -> Result<Self> {
        Self::serving("behind_prefix", port, logs)
    }

    /// Starts it with an application that shows the scheme that gunicorn has read in place of the path.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn showing_the_scheme(port: u16, logs: &Path) -> Result<Self> {
        Self::serving("scheme", port, logs)
    }

    fn serving(application: &str, port: u16, logs: &Path) -> Result<Self> {
        let url = Url::parse(&format!("http://127.0.0.1:{port}/"))?;
        let mut command = Command::new(PythonPackage::GUNICORN.locate()?);
        command
            .args(["-m", "gunicorn", "--bind"])
            .arg(format!("127.0.0.1:{port}"))
            .arg("--chdir")
            .arg(layout::root().join("e2e/gunicorn"))
            .arg(format!("app:{application}"));
        let service =
            Service::new("gunicorn", command, logs).answering(url.clone(), StatusCode::OK);
        service.start()?;
        Ok(Self {
            _service: service,
            url,
        })
    }

    /// Returns its address.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

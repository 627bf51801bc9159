//! Our image for arm64, whose program an emulator runs where the machine is another one.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use gatepost_e2e::containers::Engine;

use crate::suite::LeftOut;
use crate::{Test, labels, visit};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "arm64::a_user_signs_in_at_the_image",
    run: a_user_signs_in_at_the_image,
}];

/// Names an outpost for arm64 that is linked statically.
const PROGRAM: &str = "E2E_ARM64_OUTPOST";

const IMAGE: &str = "localhost/gatepost/for-arm64";

fn a_user_signs_in_at_the_image(engine: &Engine) -> Result<()> {
    let Some(program) = std::env::var_os(PROGRAM) else {
        let reason = format!("{PROGRAM} names no outpost for arm64");
        return Err(LeftOut(reason).into());
    };
    if Command::new(&program).arg("--version").output().is_err() {
        let reason = "this machine runs no programs for arm64 (Debian has qemu-user-static)";
        return Err(LeftOut(reason.to_owned()).into());
    }
    engine.build_outpost("linux/arm64", Path::new(&program), IMAGE)?;
    let format = "--format={{.Os}}/{{.Architecture}} {{.Config.User}}";
    let built = engine.podman(&["image", "inspect", format, IMAGE])?;
    assert_eq!(built.trim(), "linux/arm64 65532:65532");
    let version = engine.podman(&["run", "--rm", "--network=none", IMAGE, "--version"])?;
    let expected = format!("gatepost {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(version.trim(), expected);

    let _running = labels::up_with(engine, IMAGE, "forward-auth-single", "single")?;
    visit::sign_in(&labels::page("wiki")?).map(drop)
}

//! What packages ship beside the program: completions, manual pages, a configuration to begin with.

use std::path::Path;

use super::output::{said, say};

/// A configuration file of `deploy/outpost/`, which the documentation shows too.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum Example {
    /// Every key with its meaning, to look keys up: its applications are made up.
    #[default]
    All,
    /// To begin with: one application, on whose host the outpost answers too.
    Single,
    /// To begin with: every host of a domain, with one sign-in.
    Domain,
}

pub(super) fn example(which: Example) -> Option<()> {
    let text = match which {
        Example::All => include_str!("../../../deploy/outpost/gatepost.yaml"),
        Example::Single => include_str!("../../../deploy/outpost/single.yaml"),
        Example::Domain => include_str!("../../../deploy/outpost/domain.yaml"),
    };
    say(&without_key(text.trim_end()));
    Some(())
}

/// Puts the keys file in the place of the key in the example. That key is public: anyone
/// could make sessions of an outpost that signs with it.
fn without_key(example: &str) -> String {
    let mut lines = Vec::new();
    for line in example.lines() {
        if line.starts_with("keys:") {
            continue;
        }
        lines.push(match line.strip_prefix("# keysFile:") {
            Some(file) => format!("keysFile:{}", file.split('#').next().unwrap_or_default()),
            None => line.replace(" The outpost refuses this one, which is published.", ""),
        });
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n")
}

pub(super) fn completions(command: &mut clap::Command, shell: clap_complete::Shell) -> Option<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "gatepost", &mut script);
    say(String::from_utf8_lossy(&script).trim_end());
    Some(())
}

pub(super) fn manual(command: clap::Command, folder: &Path) -> Option<()> {
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command, folder))
        .map_err(|error| format!("{}: {error}", folder.display()));
    said(written)
}

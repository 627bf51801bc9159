//! What packages ship beside the program: completions, manual pages, a configuration to begin with.

use std::io;
use std::path::Path;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::exit::Meanings;
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
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| write_pages(&command, folder))
        .map_err(|error| format!("{}: {error}", folder.display()));
    said(written)
}

/// Writes the page of a command, and those of its own commands.
fn write_pages(command: &clap::Command, folder: &Path) -> io::Result<()> {
    for own in command.get_subcommands().filter(|own| !own.is_hide_set()) {
        write_pages(own, folder)?;
    }
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let section = exit_status(command);
    // `man-pages(7)` has it before what the program says of itself.
    let whole = match text.split_once(VERSION) {
        Some((before, after)) => format!("{before}{section}{VERSION}{after}"),
        None => format!("{text}{section}"),
    };
    std::fs::write(folder.join(page.get_filename()), whole)
}

const VERSION: &str = ".SH VERSION\n";

fn exit_status(command: &clap::Command) -> String {
    let mut section = Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    for (exit, meaning) in Meanings::of(command) {
        section.control("TP", []);
        section.text([bold(exit.code().to_string())]);
        section.text([roman(meaning)]);
    }
    section.to_roff()
}

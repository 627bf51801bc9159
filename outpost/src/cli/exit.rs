//! How the program ends: the exit codes by which it does, and which the manual pages list.

use std::process::ExitCode;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// The command has done its work.
    Done,
    /// The command has not done its work, or has found a problem.
    Failed,
    /// The arguments are invalid, and nothing was done.
    Misused,
}

impl Exit {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Misused => 2,
        }
    }

    /// Returns how the program ends where it was called so that no command runs: to show a help text, or
    /// with invalid arguments.
    pub(super) fn without_command(reason: &clap::Error) -> Self {
        match reason.use_stderr() {
            true => Self::Misused,
            false => Self::Done,
        }
    }
}

impl From<Option<()>> for Exit {
    fn from(outcome: Option<()>) -> Self {
        match outcome {
            Some(()) => Self::Done,
            None => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// What the exit codes of a command mean.
#[derive(Debug)]
pub(super) struct Meanings {
    /// The name of its manual page.
    page: &'static str,
    done: &'static str,
    /// `None` where the command cannot fail.
    failed: Option<&'static str>,
}

const MISUSED: &str =
    "The arguments are invalid, and nothing was done. Standard error has the reason.";

/// The meanings for a name that only groups commands, and for the program itself.
const GROUP: Meanings = Meanings {
    page: "",
    done: "The command has done its work.",
    failed: Some(
        "It has not. Standard error has the reason, and the page of each command says more.",
    ),
};

const COMMANDS: [Meanings; 17] = [
    Meanings {
        page: "gatepost-serve",
        done: "The outpost was asked to end (SIGTERM or SIGINT), and has ended.",
        failed: Some(
            "The outpost has not started: the configuration is invalid, or the outpost cannot listen, open its \
             store or read its certificate.",
        ),
    },
    Meanings {
        page: "gatepost-check",
        done: "The report has no failure. It may have warnings.",
        failed: Some("The configuration is invalid, or the report has a failure."),
    },
    Meanings {
        page: "gatepost-why",
        done: "The decision was printed, whatever it is.",
        failed: Some(
            "There is no decision: the configuration or the request is invalid, or no application has the URL.",
        ),
    },
    Meanings {
        page: "gatepost-test",
        done: "Each case is decided as the table says.",
        failed: Some("A case is decided otherwise, or the table or the configuration is invalid."),
    },
    Meanings {
        page: "gatepost-export",
        done: "The configuration was printed. Standard error names the applications that it lacks.",
        failed: Some(
            "Nothing was printed: the configuration is invalid, or cannot be written in this form.",
        ),
    },
    Meanings {
        page: "gatepost-import-ingress-nginx",
        done: "What was printed has each protected host.",
        failed: Some(
            "What was printed lacks a protected host, which standard error names; or nothing was printed: there \
             is no protected host, or a file cannot be read.",
        ),
    },
    Meanings {
        page: "gatepost-keygen",
        done: "The key was printed or written, or the file had keys already and stays as it is.",
        failed: Some("There is no new key: its id is invalid, or the file cannot be written."),
    },
    Meanings {
        page: "gatepost-session-inspect",
        done: "A configured key made the cookie, whether or not its window is over.",
        failed: Some(
            "No configured key made the cookie, it is not the cookie of a session, or the configuration is invalid.",
        ),
    },
    Meanings {
        page: "gatepost-session-list",
        done: "The sessions were printed, or there is none.",
        failed: Some("The outpost does not answer or refuses, or the configuration is invalid."),
    },
    Meanings {
        page: "gatepost-session-revoke",
        done: "The outpost has ended the sessions, or there was none.",
        failed: Some(
            "Sessions may go on: the outpost does not answer or refuses, the configuration is invalid, or \
             --issuer is missing.",
        ),
    },
    Meanings {
        page: "gatepost-key-create",
        done: "The key was printed.",
        failed: Some(
            "No key was printed: the outpost does not answer or refuses, or the configuration is invalid. Where \
             standard output cannot be written, there is a key, and standard error says how to revoke it.",
        ),
    },
    Meanings {
        page: "gatepost-key-list",
        done: "The keys were printed, or there is none.",
        failed: Some("The outpost does not answer or refuses, or the configuration is invalid."),
    },
    Meanings {
        page: "gatepost-key-revoke",
        done: "The keys are revoked. With --all, there may have been none.",
        failed: Some(
            "There is no such key, some keys cannot be read and so may go on, the outpost does not answer or \
             refuses, or the configuration is invalid.",
        ),
    },
    Meanings {
        page: "gatepost-config-example",
        done: "The file was printed.",
        failed: None,
    },
    Meanings {
        page: "gatepost-completions",
        done: "The completions were printed.",
        failed: None,
    },
    Meanings {
        page: "gatepost-man",
        done: "The pages were written.",
        failed: Some("The folder or a page cannot be written."),
    },
    Meanings {
        page: "gatepost-healthcheck",
        done: "The outpost lives. With --ready, sign-ins work too.",
        failed: Some("The outpost does not answer, or says that it is not ready."),
    },
];

impl Meanings {
    /// Returns each way in which a command ends, with its meaning.
    pub(super) fn of(command: &clap::Command) -> Vec<(Exit, &'static str)> {
        let page = command.get_display_name().unwrap_or_default();
        let own = COMMANDS.iter().find(|own| own.page == page);
        let Self { done, failed, .. } = own.unwrap_or(&GROUP);
        let failed = failed.filter(|_| can_fail(command));
        let failed = failed.map(|meaning| (Exit::Failed, meaning));
        let mut each = vec![(Exit::Done, *done), (Exit::Misused, MISUSED)];
        each.extend(failed);
        each.sort_by_key(|(exit, _)| exit.code());
        each
    }
}

/// Returns whether a command can fail, or any of those that it groups.
fn can_fail(command: &clap::Command) -> bool {
    let mut own = command.get_subcommands().peekable();
    if own.peek().is_some() {
        return own.any(can_fail);
    }
    let page = command.get_display_name().unwrap_or_default();
    let said = COMMANDS.iter().find(|own| own.page == page);
    said.is_none_or(|own| own.failed.is_some())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// Adds the names of the pages of all commands that have no commands of their own.
    fn leaves(command: &clap::Command, found: &mut BTreeSet<String>) {
        let mut own = command.get_subcommands().peekable();
        if own.peek().is_none() {
            found.extend(command.get_display_name().map(str::to_owned));
        }
        own.for_each(|command| leaves(command, found));
    }

    #[test]
    fn each_command_has_meanings_of_its_own() {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let mut pages = BTreeSet::new();
        leaves(&command, &mut pages);
        let said: BTreeSet<String> = COMMANDS.iter().map(|it| it.page.to_owned()).collect();
        assert_eq!(said, pages);
    }
}

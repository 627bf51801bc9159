//! What is wrong with the input, and where.

use std::fmt;

/// Why the input cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It is not YAML.
    #[error("{file}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// What the parser says, without the lines around the mistake: they may hold a secret.
        message: String,
    },
    /// The controller's settings are not among the documents.
    #[error(
        "the controller's ConfigMap is not among the documents, and may protect every Ingress: add what \
         `kubectl get configmap -n ingress-nginx ingress-nginx-controller -o yaml` prints, or say \
         `--no-configmap` if the controller has none"
    )]
    NoConfigMap,
    /// Several may be the controller's.
    #[error("several ConfigMaps of controllers: name one with `--configmap` ({0})")]
    ConfigMaps(String),
    /// A document is not what its `kind` says.
    #[error("{place}: {message}")]
    Invalid {
        /// The document.
        place: Place,
        /// What is wrong.
        message: String,
    },
}

/// A document of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) file: String,
    pub(super) document: usize,
    pub(super) item: Option<usize>,
}

impl Place {
    pub(super) fn invalid(&self, message: impl Into<String>) -> ImportError {
        ImportError::Invalid {
            place: self.clone(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}", self.file, self.document)?;
        match self.item {
            Some(item) => write!(f, ", item {item}"),
            None => Ok(()),
        }
    }
}

/// Returns what the parser says without the lines that it quotes.
pub(super) fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or("unreadable").to_owned()
}

//! What an operator asks of a running outpost about its sessions: `gatepost session list` and
//! `revoke`.
//!
//! The command and the outpost have the same configuration, so they have a secret in common: both
//! the question and the answer are sealed with a key of the ring. Nobody else who reaches the
//! metrics listener can ask, and a question serves once.

use gatepost_session::{NumericDate, SessionId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::outpost::Outpost;
use crate::telemetry::audit;
use gatepost_base::SealingKeys;
use gatepost_store::{SessionRecord, SessionSelector, StoreUnavailable};

/// The path on the metrics listener.
pub const PATH: &str = "/sessions";

/// The longest question that is read, in bytes.
pub const MAX_QUESTION_BYTES: usize = 8 * 1024;

/// How far the clocks of command and outpost may be apart, in seconds.
const MAX_AGE_SECONDS: u64 = 60;

const QUESTION: &str = "operator's question";
const ANSWER: &str = "operator's answer";

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Question {
    /// Which sessions there are.
    List {
        /// How many at most.
        limit: usize,
    },
    /// To end one.
    RevokeSession {
        /// Its id.
        id: String,
    },
    /// To end all of a person.
    RevokeSubject {
        /// The provider.
        issuer: String,
        /// The person's id there.
        subject: String,
    },
    /// To end all.
    RevokeEveryone,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// The sessions.
    Sessions(Vec<Listed>),
    /// So many were ended.
    Ended(usize),
}

/// A session as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Its id, which ends it.
    pub id: String,
    /// The application.
    pub application: String,
    /// The provider.
    pub issuer: String,
    /// The person's id there.
    pub subject: String,
    /// The name the person signs in with.
    pub username: Option<String>,
    /// When the person signed in.
    pub created: NumericDate,
    /// When the outpost last heard of the session.
    pub last_seen: NumericDate,
    /// When it ends whatever happens.
    pub ends: NumericDate,
}

impl From<&SessionRecord> for Listed {
    fn from(record: &SessionRecord) -> Self {
        Self {
            id: record.id.to_string(),
            application: record.audience.clone(),
            issuer: record.identity.issuer.clone(),
            subject: record.identity.subject.clone(),
            username: record.identity.preferred_username.clone(),
            created: record.created,
            last_seen: record.last_seen,
            ends: record.ends,
        }
    }
}

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// It is not sealed with a key of this outpost, or too old, or was asked before.
    #[error("the question is not of this configuration, or not of now")]
    Refused,
    /// There is no such session id.
    #[error("not a session id")]
    NotASession,
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
    /// The operating system has no randomness.
    #[error("the operating system has no randomness")]
    NoRandomness,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    at: NumericDate,
    question: Question,
}

/// Seals a question. `None` when the operating system has no randomness.
pub fn ask(keys: &SealingKeys, now: NumericDate, question: &Question) -> Option<String> {
    let sealed = Sealed {
        at: now,
        question: question.clone(),
    };
    keys.seal_text(QUESTION, &serde_json::to_vec(&sealed).ok()?)
}

/// Opens an answer.
pub fn read_answer(keys: &SealingKeys, text: &str) -> Option<Answer> {
    open(keys, ANSWER, text)
}

fn open<T: DeserializeOwned>(keys: &SealingKeys, context: &str, text: &str) -> Option<T> {
    serde_json::from_slice(&keys.open_text(context, text)?).ok()
}

impl Outpost {
    /// Answers a sealed question with a sealed answer.
    ///
    /// # Errors
    ///
    /// [`Unanswered`].
    pub async fn answer_operator(&self, text: &str) -> Result<String, Unanswered> {
        let deployment = self.deployment();
        let keys = &deployment.operator_keys;
        let now = self.clock.now();
        let sealed: Sealed = open(keys, QUESTION, text).ok_or(Unanswered::Refused)?;
        let apart = now.seconds_since(sealed.at) + sealed.at.seconds_since(now);
        let remember_until = sealed.at.plus_seconds(MAX_AGE_SECONDS + 1);
        // Its nonce makes each text another.
        if apart > MAX_AGE_SECONDS || !self.store.use_once(text, now, remember_until).await? {
            return Err(Unanswered::Refused);
        }
        let which = match sealed.question {
            Question::List { limit } => {
                let listed = self.store.list(limit).await?;
                let listed = listed.iter().map(|record| Listed::from(&**record));
                return seal(keys, &Answer::Sessions(listed.collect()));
            }
            Question::RevokeSession { id } => {
                SessionSelector::Id(SessionId::parse(&id).ok_or(Unanswered::NotASession)?)
            }
            Question::RevokeSubject { issuer, subject } => {
                SessionSelector::Subject { issuer, subject }
            }
            Question::RevokeEveryone => SessionSelector::All,
        };
        let ended = self
            .sessions
            .revoker()
            .revoke(&which, &deployment.times)
            .await?;
        let (issuer, subject) = match &which {
            SessionSelector::Subject { issuer, subject } => {
                (issuer.as_str(), Some(subject.as_str()))
            }
            _ => ("", None),
        };
        audit::revoked("operator", issuer, subject, ended);
        seal(keys, &Answer::Ended(ended))
    }
}

fn seal(keys: &SealingKeys, answer: &Answer) -> Result<String, Unanswered> {
    serde_json::to_vec(answer)
        .ok()
        .and_then(|answer| keys.seal_text(ANSWER, &answer))
        .ok_or(Unanswered::NoRandomness)
}

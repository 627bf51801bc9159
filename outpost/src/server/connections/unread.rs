//! What the service leaves of a request's body on HTTP/1.
//!
//! A body that nobody reads lies between a request and the next one. `hyper` closes the connection where the
//! rest is not there the moment the answer is, and says so in no header: a proxy that writes the body a little
//! later, as one that passes it on from its own client does, meets a closed connection, and so does the `POST`
//! that its pool sends there next.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::timeout;

/// How much of it is read: more than any form here has.
const MOST: usize = 64 * 1024;

/// How long the answer waits for it. Short, since a proxy that asks about a request may announce the body of
/// that request and send none (nginx without `proxy_set_header Content-Length ""`).
const LIMIT: Duration = Duration::from_millis(100);

/// Where a body goes once the service is done with it.
type Home = Arc<Mutex<Option<Incoming>>>;

/// A request's body, for the service.
#[derive(Debug)]
pub(super) struct Lent {
    body: Option<Incoming>,
    home: Option<Home>,
}

/// What the service will have left of it.
#[derive(Debug)]
pub(super) struct Left(Home);

impl Lent {
    /// Lends a body, and returns what will be left of it if anything can be.
    pub(super) fn new(body: Incoming, can_be_left: bool) -> (Self, Option<Left>) {
        let home = (can_be_left && !body.is_end_stream()).then(Home::default);
        let left = home.clone().map(Left);
        let body = Some(body);
        (Self { body, home }, left)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(home) = &self.home
            && let Ok(mut home) = home.lock()
        {
            *home = self.body.take();
        }
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.as_ref().map(Body::size_hint);
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

impl Left {
    /// Reads the rest, within bounds, and returns whether it has ended: if not, no other request can follow.
    pub(super) async fn read(self) -> bool {
        let taken = self.0.lock().ok().and_then(|mut home| home.take());
        let Some(mut body) = taken else {
            // Whoever still has it reads it.
            return true;
        };
        let rest = async {
            let mut size: usize = 0;
            while size <= MOST {
                match body.frame().await {
                    None => return true,
                    Some(Ok(frame)) => {
                        size = size.saturating_add(frame.data_ref().map_or(0, Bytes::len));
                    }
                    Some(Err(_)) => return false,
                }
            }
            false
        };
        timeout(LIMIT, rest).await.unwrap_or(false)
    }
}

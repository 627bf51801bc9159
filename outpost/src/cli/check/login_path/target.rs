//! The application that a URL belongs to.

use std::sync::Arc;

use url::Url;

use super::problem::CheckProblem;
use crate::application::{Application, Applications, NoApplication};
use crate::origin::{HostPort, Mode};

/// Returns the application at a URL, whose scheme must be the application's too.
pub(super) fn application_of<'a>(
    applications: &'a Applications,
    url: &Url,
) -> Result<&'a Application, CheckProblem> {
    let host = HostPort::parse(&url[url::Position::BeforeHost..url::Position::AfterPort])
        .ok_or_else(|| CheckProblem(format!("`{url}` has no host")))?;
    // On one host name, several differ in their ports too.
    let same_origin = |application: &&Arc<Application>| {
        application.external().origin() == url.origin().ascii_serialization()
    };
    let found = applications.iter().find(same_origin);
    let found = found.map_or_else(|| applications.at(&host, url.path()), Ok);
    if let Err(NoApplication::Unserved(unserved)) = &found {
        return Err(CheckProblem(format!(
            "`{}` is configured for `{host}` and cannot be served: {}",
            unserved.name, unserved.reason
        )));
    }
    let Ok(application) = found else {
        let known: Vec<String> = applications
            .iter()
            .map(|application| {
                let origin = application.external().origin();
                match application.mode() {
                    Mode::Single => origin.to_owned(),
                    Mode::Domain(domain) => {
                        format!("{origin} (for every host under {})", domain.as_str())
                    }
                }
            })
            .collect();
        return Err(CheckProblem(format!(
            "no application has the host `{host}`: the `externalUrl`s are {}",
            known.join(", ")
        )));
    };
    let scheme = application.external().url().scheme();
    if url.scheme() != scheme {
        return Err(CheckProblem(format!(
            "{}: `externalUrl` is {scheme}, this URL is {}: write the scheme that browsers use",
            application.audience(),
            url.scheme()
        )));
    }
    Ok(application)
}

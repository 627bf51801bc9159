//! nginx as an app that costs next to nothing, and as the fastest forward-auth server there is.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use gatepost_e2e::tools::{Packaged, Tool as _};
use gatepost_e2e::{Process, ports};

use super::raw_http;

const START_LIMIT: Duration = Duration::from_secs(30);

/// The path at which the app shows the identity that it received.
pub(crate) const SEEN_PATH: &str = "/seen";

/// Where it says which user it sees, by the headers of servers that pass no groups by the names that
/// Gatepost has for them.
pub(crate) const SEEN_USER_PATH: &str = "/seen-user";

/// Where the app waits for one behind it, at [`Nginx::slow_port`], before it answers.
pub(crate) const SLOW_PATH: &str = "/slow";

/// A running nginx with one worker.
#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) port: u16,
    pub(crate) slow_port: u16,
    pub(crate) process: Process,
}

impl Nginx {
    /// Starts the app.
    pub(crate) fn app(folder: &Path) -> Result<Self> {
        let slow_port = ports::free()?;
        let locations = format!(
            "location / {{ return 200 'hello'; }}\n\
             location = {SEEN_PATH} {{ return 200 \
             '$http_x_auth_username$http_x_auth_request_preferred_username \
             $http_x_auth_groups$http_x_auth_request_groups'; }}\n\
             location = {SEEN_USER_PATH} {{ return 200 \
             '$http_x_forwarded_user$http_x_vouch_user$http_remote_user'; }}\n\
             location = {SLOW_PATH} {{ proxy_pass http://127.0.0.1:{slow_port}; }}"
        );
        let app = Self::start("app", folder, &locations)?;
        Ok(Self { slow_port, ..app })
    }

    /// Starts a forward-auth server that answers every request with these headers.
    pub(crate) fn forward_auth(folder: &Path, headers: &[(String, String)]) -> Result<Self> {
        let mut location = String::from("location / {\n");
        for (name, value) in headers {
            location.push_str(&format!("add_header {name} '{value}';\n"));
        }
        location.push_str("return 200;\n}");
        Self::start("static-auth", folder, &location)
    }

    fn start(name: &str, folder: &Path, locations: &str) -> Result<Self> {
        let port = ports::free()?;
        let folder = folder.join(name);
        fs::create_dir_all(folder.join("temp"))?;
        let config = format!(
            "daemon off;\n\
             worker_processes 1;\n\
             error_log stderr error;\n\
             pid nginx.pid;\n\
             events {{ worker_connections 8192; }}\n\
             http {{\n\
               access_log off;\n\
               keepalive_requests 1000000000;\n\
               keepalive_timeout 1h;\n\
               large_client_header_buffers 8 32k;\n\
               client_body_temp_path temp/body;\n\
               proxy_temp_path temp/proxy;\n\
               fastcgi_temp_path temp/fastcgi;\n\
               uwsgi_temp_path temp/uwsgi;\n\
               scgi_temp_path temp/scgi;\n\
               server {{\n\
                 listen 127.0.0.1:{port} backlog=4096;\n\
                 {locations}\n\
               }}\n\
             }}\n"
        );
        fs::write(folder.join("nginx.conf"), config)?;
        let mut command = Command::new(Packaged::Nginx.locate()?);
        command
            .arg("-p")
            .arg(&folder)
            .args(["-c", "nginx.conf", "-e", "stderr"]);
        let mut process = Process::spawn(name, &command, &folder.join("log"))?;
        process.ready(START_LIMIT, || {
            raw_http::ask(port, "/", &[]).is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(Self {
            port,
            slow_port: 0,
            process,
        })
    }
}

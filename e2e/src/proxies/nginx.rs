use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::programs::Service;
use crate::site::Site;
use crate::tools::{NGINX_MODULES, Packaged, Tool as _};

/// nginx with the server blocks of a file of `deploy/`.
#[derive(Clone, Copy, Debug)]
pub struct Nginx;

impl Nginx {
    /// Starts nginx and waits until it protects these hosts.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start(site: &Site, file: &str, hosts: &[&str]) -> Result<Service> {
        Self::start_changed(site, file, &[], hosts)
    }

    /// Starts nginx as [`Self::start`] does, with these texts of the file replaced.
    ///
    /// # Errors
    ///
    /// As [`Self::start`], and when the file does not contain such a text.
    pub fn start_changed(
        site: &Site,
        file: &str,
        changes: &[(&str, &str)],
        hosts: &[&str],
    ) -> Result<Service> {
        let listen = format!("listen 127.0.0.1:{};", site.ports().web);
        let changes = [&[("listen 80;", &*listen)], changes].concat();
        let servers = site.fitted(file, &changes)?;
        run(site, &servers, &[], hosts)
    }

    /// Starts nginx with these server blocks, which listen on the site's port, and waits until it
    /// protects these hosts.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn start_with(site: &Site, servers: &str, hosts: &[&str]) -> Result<Service> {
        let port = site.ports().web;
        let loopback = format!("listen 127.0.0.1:{port};");
        let servers = servers.replace(&format!("listen {port};"), &loopback);
        run(site, &servers, &[], hosts)
    }
}

impl Nginx {
    /// Starts nginx as [`Self::start`] does, with a server block as authentik's docs show it: for
    /// TLS, and for every name. `changes` are those that the docs require.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn of_authentik(
        site: &Site,
        file: &str,
        changes: &[(&str, &str)],
        hosts: &[&str],
    ) -> Result<Service> {
        let listen = format!("listen 127.0.0.1:{};", site.ports().web);
        let mut changes = changes.to_vec();
        changes.push(("listen                  443 ssl http2;", &listen));
        let servers = site.fitted(file, &changes)?;
        let servers: String = servers
            .lines()
            .filter(|line| !line.trim_start().starts_with("ssl_certificate"))
            .map(|line| format!("{line}\n"))
            .collect();
        run(site, &servers, &[], hosts)
    }
}

impl Nginx {
    /// Starts nginx as the app `wiki` behind TLS, on the site's port [for other
    /// purposes](crate::SitePorts::extra), with the certificate and the key of these files.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not become ready.
    pub fn before_wiki(site: &Site, certificate: &Path, key: &Path) -> Result<Service> {
        let ports = site.ports();
        let server = format!(
            "server {{\n\
               listen 127.0.0.1:{} ssl;\n\
               ssl_certificate {};\n\
               ssl_certificate_key {};\n\
               proxy_set_header Host $http_host;\n\
               location / {{ proxy_pass http://127.0.0.1:{}; }}\n\
             }}\n",
            ports.extra,
            certificate.display(),
            key.display(),
            ports.wiki
        );
        run_as("wiki-tls", site, &server, &[], &[])
    }
}

/// The module with `set_escape_uri`, and the one that it needs.
pub(super) const SET_MISC: [&str; 2] = ["ndk_http_module.so", "ngx_http_set_misc_module.so"];

/// Starts nginx with this in its `http` block.
pub(super) fn run(site: &Site, servers: &str, modules: &[&str], hosts: &[&str]) -> Result<Service> {
    run_as("nginx", site, servers, modules, hosts)
}

/// Starts nginx as [`run`] does, under its own name, for an nginx next to another.
pub(super) fn run_as(
    name: &'static str,
    site: &Site,
    servers: &str,
    modules: &[&str],
    hosts: &[&str],
) -> Result<Service> {
    let folder = site.folder().join(name);
    fs::create_dir_all(folder.join("temp"))?;
    fs::write(folder.join("site.conf"), servers)?;
    let load = |module: &&str| format!("load_module {NGINX_MODULES}/{module};\n");
    let modules: String = modules.iter().map(load).collect();
    // What a package's nginx.conf says around the servers, kept away from the system's paths.
    let config = format!(
        "daemon off;\n\
         error_log stderr info;\n\
         pid nginx.pid;\n\
         {modules}\
         events {{}}\n\
         http {{\n\
           access_log off;\n\
           client_body_temp_path temp/body;\n\
           proxy_temp_path temp/proxy;\n\
           fastcgi_temp_path temp/fastcgi;\n\
           uwsgi_temp_path temp/uwsgi;\n\
           scgi_temp_path temp/scgi;\n\
           include site.conf;\n\
         }}\n"
    );
    fs::write(folder.join("nginx.conf"), config)?;
    let mut command = Command::new(Packaged::Nginx.locate()?);
    command
        .arg("-p")
        .arg(&folder)
        .args(["-c", "nginx.conf", "-e", "stderr"]);
    site.front(name, command, hosts)
}

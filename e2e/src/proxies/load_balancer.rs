use anyhow::Result;

use super::nginx;
use crate::programs::Service;
use crate::site::Site;

/// nginx as a load balancer before Traefik, with the four lines that most have. It hands on every
/// other header that a client sends.
#[derive(Clone, Copy, Debug)]
pub struct LoadBalancer;

impl LoadBalancer {
    /// Starts it. Traefik has to listen [where it
    /// leads](super::Traefik::behind_load_balancer).
    ///
    /// # Errors
    ///
    /// When nginx is not installed.
    pub fn start(site: &Site) -> Result<Service> {
        Self::saying(site, "$http_host", "$scheme")
    }

    /// Starts the same as [`Self::start`], and says that every request came over TLS, as a load
    /// balancer does that terminates it.
    ///
    /// # Errors
    ///
    /// When nginx is not installed.
    pub fn that_ends_tls(site: &Site) -> Result<Service> {
        // The port is that of the plain connection, which browsers do not see.
        Self::saying(site, "$host", "https")
    }

    fn saying(site: &Site, host: &str, scheme: &str) -> Result<Service> {
        let ports = site.ports();
        let server = format!(
            "large_client_header_buffers 4 32k;\n\
             map $http_upgrade $connection_upgrade {{\n    default upgrade;\n    '' '';\n}}\n\
             server {{\n\
               listen 127.0.0.1:{};\n\
               proxy_buffer_size 32k;\n\
               proxy_buffers 8 32k;\n\
               location / {{\n\
                 proxy_set_header Host {host};\n\
                 proxy_set_header X-Real-IP $remote_addr;\n\
                 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
                 proxy_set_header X-Forwarded-Proto {scheme};\n\
                 proxy_set_header Upgrade $http_upgrade;\n\
                 proxy_set_header Connection $connection_upgrade;\n\
                 proxy_http_version 1.1;\n\
                 proxy_pass http://127.0.0.1:{};\n\
               }}\n\
             }}\n",
            ports.web, ports.extra
        );
        nginx::run_as("load-balancer", site, &server, &[], &[])
    }
}

//! What the real controller of ingress-nginx makes of the manifests for it: nginx, in front of the
//! real API server's Ingresses, with the sign-in and everything else that a deployment must do.

mod compared;
mod rows;

use anyhow::Result;
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::proxies::IngressController;
use gatepost_e2e::tools::{self, Tool as _};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Service, Site};
use reqwest::Method;
use serde_json::Value;

use crate::served::{LaidOut, lay_out, objects_of};
use crate::suite::LeftOut;
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "ingress_nginx::single",
        run: single,
    },
    Test {
        name: "ingress_nginx::domain",
        run: domain,
    },
    Test {
        name: "ingress_nginx::traefik_opens_nothing",
        run: compared::traefik_opens_nothing,
    },
];

/// The controller at work in the cluster, until this is dropped: then the objects are removed too.
pub(crate) struct Running<'c> {
    // In this order: the controller first, which would read that they are gone.
    _controller: Service,
    _laid_out: LaidOut<'c>,
}

/// Applies these objects, with what a cluster has besides, and starts the controller at this port.
pub(crate) fn serve<'c>(
    cluster: &'c Cluster,
    site: &Site,
    mut objects: Vec<Value>,
    port: u16,
    hosts: &[&str],
) -> Result<Running<'c>> {
    cluster.restricted_namespace("ingress-nginx")?;
    objects.push(IngressController::pod());
    let laid_out = lay_out(cluster, site, objects)?;
    Ok(Running {
        _controller: IngressController::start(cluster, site, port, hosts)?,
        _laid_out: laid_out,
    })
}

/// Leaves a test out where the controller cannot be had.
pub(crate) fn needs_the_controller() -> Result<()> {
    let missing = tools::IngressController.locate().err();
    missing.map_or(Ok(()), |error| Err(LeftOut(format!("{error:#}")).into()))
}

fn shown(site: &Site, file: &str) -> Result<Vec<Value>> {
    objects_of(&site.fitted_in_cluster(&format!("deploy/kubernetes/ingress-nginx/{file}.yaml"))?)
}

fn single(cluster: &Cluster) -> Result<()> {
    needs_the_controller()?;
    let site = checks::site("deploy/outpost/single.yaml")
        .redirects_everyone()
        .start()?;
    let objects = shown(&site, "single")?;
    let _running = serve(cluster, &site, objects, site.ports().web, &["wiki"])?;
    checks::single(&site)?;
    checks::scripts_renew_in_place(&site, "wiki")?;
    checks::large_sessions_go_on(&site, "wiki", checks::Cookies::One)?;
    checks::scripts_get_no_further_than_the_outpost(&site)?;
    nothing_passes_without_the_outpost(&site)
}

fn domain(cluster: &Cluster) -> Result<()> {
    needs_the_controller()?;
    let site = checks::site("deploy/outpost/domain.yaml")
        .redirects_everyone()
        .start()?;
    let objects = shown(&site, "domain")?;
    let _running = serve(
        cluster,
        &site,
        objects,
        site.ports().web,
        &["wiki", "files"],
    )?;
    checks::domain(&site)?;
    checks::scripts_renew_in_place(&site, "files")?;
    nothing_passes_without_the_outpost(&site)
}

/// Stops the outpost: nginx lets nobody in then, with a session or without, public or not.
fn nothing_passes_without_the_outpost(site: &Site) -> Result<()> {
    let alice = Client::new()?;
    alice.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    site.outpost().stop();
    let before = site.wiki().len();
    for client in [alice, Client::new()?] {
        for path in ["/", "/private", "/public/logo"] {
            let request = client.fetch(Method::GET, &site.url("wiki", path)?);
            let status = request.send()?.status();
            assert!(status.is_server_error(), "{path}: {status}");
        }
    }
    assert_eq!(site.wiki().len(), before, "something reached the app");
    site.outpost().start()
}

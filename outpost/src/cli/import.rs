//! `gatepost import`: what takes the place of another proxy's configuration.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use url::Url;

use super::output::{complain, say};
use crate::import::ingress_nginx::{self, ConfigMap, Documents, Form, Gateway, Input, Settings};

#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Read Ingresses with the annotation `auth-url` of ingress-nginx, and print what Traefik needs in
    /// their place.
    IngressNginx(IngressNginx),
}

#[derive(Debug, Args)]
pub(super) struct IngressNginx {
    /// Files with Ingresses, and with the controller's ConfigMap, as `kubectl get -o yaml` prints them;
    /// `-` for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The class of the Ingresses; more than once for several that the same controller serves.
    #[arg(long, value_name = "NAME", default_value = "nginx")]
    class: Vec<String>,
    /// Which ConfigMap is the controller's, where there are several.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    configmap: Option<String>,
    /// The controller has no ConfigMap, which could protect Ingresses too.
    #[arg(long, conflicts_with = "configmap")]
    no_configmap: bool,
    /// What to print.
    #[arg(long, value_enum, default_value = "traefik-annotations")]
    to: To,
    /// Have Traefik ask the outpost about each request, in place of the plugin.
    #[arg(long)]
    forward_auth: bool,
    /// The outpost's Service.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://gatepost.gatepost.svc:9000"
    )]
    outpost: Url,
    /// The Gateway that HTTPRoutes attach to, and the listener of hosts with TLS.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME[/SECTION]",
        default_value = "traefik/web"
    )]
    gateway: Gateway,
}

/// What is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum To {
    /// The Ingresses, for Traefik's provider of the same annotations (`kubernetesIngressNGINX`).
    TraefikAnnotations,
    /// IngressRoutes and Middlewares (`kubernetesCRD`).
    Crds,
    /// HTTPRoutes of the Gateway API, and Middlewares (`kubernetesGateway`).
    Gateway,
}

pub(super) fn import(command: &ImportCommand) -> Option<()> {
    let ImportCommand::IngressNginx(arguments) = command;
    let settings = settings(arguments).map_err(|error| complain(&error)).ok()?;
    let mut inputs = Vec::new();
    for path in &arguments.files {
        inputs.push(read(path).map_err(|error| complain(&error)).ok()?);
    }
    let config_map = match (&arguments.configmap, arguments.no_configmap) {
        (Some(name), _) => ConfigMap::Named(name.clone()),
        (None, true) => ConfigMap::None,
        (None, false) => ConfigMap::Expected,
    };
    let documents = Documents::read(&inputs, &config_map)
        .map_err(|errors| errors.iter().for_each(complain))
        .ok()?;
    let imported = ingress_nginx::import(&documents, &settings)
        .map_err(|error| complain(&format!("cannot be written as YAML: {error}")))
        .ok()?;
    say(imported.text.trim_end());
    for line in &imported.refused {
        complain(&format!("not taken over: {line}"));
    }
    if imported.expressed == 0 && imported.refused.is_empty() {
        complain(&"no Ingress here of this class is protected by `auth-url`");
    }
    (imported.expressed > 0 && imported.refused.is_empty()).then_some(())
}

fn settings(arguments: &IngressNginx) -> Result<Settings, String> {
    let form = match arguments.to {
        To::TraefikAnnotations => Form::Annotations,
        To::Crds => Form::Crds,
        To::Gateway => Form::Gateway,
    };
    if form == Form::Annotations && arguments.forward_auth {
        return Err(
            "`--forward-auth` is for `--to crds` and `--to gateway`: by annotations, Traefik always asks"
                .to_owned(),
        );
    }
    Settings::new(
        form,
        &arguments.class,
        arguments.outpost.clone(),
        arguments.forward_auth,
        arguments.gateway.clone(),
    )
}

fn read(path: &Path) -> Result<Input, String> {
    let is_stdin = path.as_os_str() == "-";
    let name = if is_stdin {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let mut text = String::new();
    let outcome = if is_stdin {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    outcome.map_err(|error| format!("{name}: {error}"))?;
    Ok(Input { name, text })
}

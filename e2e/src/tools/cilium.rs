use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{Tool, go, run};
use crate::layout;

/// The part of Cilium's operator that makes Envoy's resources out of objects of the Gateway API, and
/// the definition of HTTPRoutes that has the filter `ExternalAuth`.
///
/// `e2e/cilium/` has the program around it, which takes eight minutes of a processor to build.
#[derive(Clone, Copy, Debug)]
pub struct CiliumTranslator;

/// Where the translator is, and what it needs of a cluster.
#[derive(Clone, Debug)]
pub struct InstalledTranslator {
    /// The translator.
    pub program: PathBuf,
    /// The definition of HTTPRoutes in the experimental channel.
    pub http_routes: PathBuf,
}

impl CiliumTranslator {
    const MODULE: &str = "github.com/cilium/cilium";
    const PACKAGE: &str = "github.com/cilium/cilium/operator/pkg/model/translation/gateway-api";
    const VERSION: &str = "v1.20.2";

    /// The release of the Gateway API that this Cilium is built with.
    const GATEWAY_API: &str = "sigs.k8s.io/gateway-api@v1.6.1";
    const HTTP_ROUTES: &str = "config/crd/experimental/gateway.networking.k8s.io_httproutes.yaml";

    fn folder() -> PathBuf {
        layout::tools_dir().join(format!("cilium-{}", Self::VERSION))
    }
}

impl Tool for CiliumTranslator {
    type Installed = InstalledTranslator;

    fn name(&self) -> String {
        format!("{}@{} (Go modules)", Self::PACKAGE, Self::VERSION)
    }

    fn find(&self) -> Result<Option<InstalledTranslator>> {
        let folder = Self::folder();
        // The file is written last.
        let is_there = folder.join("done").is_file();
        Ok(is_there.then(|| InstalledTranslator {
            program: folder.join("translate"),
            http_routes: folder.join("httproutes.yaml"),
        }))
    }

    fn install(&self) -> Result<()> {
        let folder = Self::folder();
        let cilium = go::download(&format!("{}@{}", Self::MODULE, Self::VERSION))?;
        let go_mod = "module gatepost-tool\n\ngo 1.26\n\n\
             replace sigs.k8s.io/mcs-api/controllers => ./controllers\n";
        let module = go::write_module(&folder, go_mod, Some(&cilium.folder.join("go.sum")))?;
        let controllers = module.join("controllers");
        fs::create_dir_all(&controllers)?;
        let own = layout::root().join("e2e/cilium");
        fs::copy(own.join("translate.go"), module.join("translate.go"))?;
        for file in ["go.mod", "controllers.go"] {
            let from = own.join("controllers").join(file);
            fs::copy(from, controllers.join(file))?;
        }
        let package = format!("{}@{}", Self::PACKAGE, Self::VERSION);
        let in_module = |command: &mut Command| run(command.current_dir(&module));
        in_module(go::go().args(["get", &package]))?;
        in_module(
            go::go()
                .args(["build", "-ldflags", "-s -w", "-o"])
                .arg(folder.join("translate"))
                .arg("."),
        )?;
        let definitions = go::download(Self::GATEWAY_API)?.folder;
        let definition = fs::read(definitions.join(Self::HTTP_ROUTES))?;
        fs::write(folder.join("httproutes.yaml"), definition)?;
        fs::write(folder.join("done"), Self::VERSION)?;
        Ok(())
    }
}

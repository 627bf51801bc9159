use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{NGINX_MODULES, Packaged, Tool, apt, go};
use crate::layout;

/// The nginx ingress controller (kubernetes/ingress-nginx), and the nginx that it configures.
///
/// The controller is a program of its Go module, which takes four minutes of a processor to build.
/// Its tags are no versions to Go, so it is known by a commit: of July 2024, between the releases
/// 1.11.0 and 1.11.1. Few mirrors of the module proxy have a later one.
#[derive(Clone, Copy, Debug)]
pub struct IngressController;

/// Where the controller is, and what it works with.
#[derive(Clone, Debug)]
pub struct InstalledController {
    /// The controller.
    pub program: PathBuf,
    /// nginx, as Debian has it.
    pub nginx: PathBuf,
    /// The folder `/etc/nginx` of the controller's image: template and Lua.
    pub files: PathBuf,
}

/// Modules of nginx that the template needs, beside those that other tests need too.
const MODULES: [&str; 2] = [
    "ngx_http_headers_more_filter_module.so",
    "ngx_http_lua_module.so",
];

/// A library that the controller's Lua needs, in the part that is the same on every machine.
const CJSON: &str = "/usr/share/lua/5.1/cjson/util.lua";

const PACKAGES: [&str; 3] = [
    "libnginx-mod-http-headers-more-filter",
    // With `lua-resty-core` and `lua-resty-lrucache`.
    "libnginx-mod-http-lua",
    "lua-cjson",
];

impl IngressController {
    const MODULE: &str = "k8s.io/ingress-nginx";
    const PACKAGE: &str = "k8s.io/ingress-nginx/cmd/nginx";
    const VERSION: &str = "v0.0.0-20240708192948-52c50467d67d";

    fn folder() -> PathBuf {
        layout::tools_dir().join(format!("ingress-nginx-{}", Self::VERSION))
    }
}

impl Tool for IngressController {
    type Installed = InstalledController;

    fn name(&self) -> String {
        format!(
            "{}@{} (Go modules) with nginx (Debian: {})",
            Self::PACKAGE,
            Self::VERSION,
            PACKAGES.join(", ")
        )
    }

    fn find(&self) -> Result<Option<InstalledController>> {
        let Some(nginx) = Packaged::Nginx.find()? else {
            return Ok(None);
        };
        let folder = Self::folder();
        // The file is written last.
        let is_there = has_packages() && folder.join("done").is_file();
        Ok(is_there.then(|| InstalledController {
            program: folder.join("nginx-ingress-controller"),
            nginx,
            files: folder.join("nginx"),
        }))
    }

    fn install(&self) -> Result<()> {
        Packaged::Nginx.ensure()?;
        if !has_packages() {
            apt::install(&PACKAGES)?;
        }
        let folder = Self::folder();
        if folder.join("done").is_file() {
            return Ok(());
        }
        fs::create_dir_all(&folder)?;
        let module = go::download(&format!("{}@{}", Self::MODULE, Self::VERSION))?;
        let sums = module.folder.join("go.sum");
        let build = go::Build {
            package: Self::PACKAGE,
            version: Self::VERSION,
            module: "module gatepost-tool\n\ngo 1.24\n",
            sums: Some(&sums),
            flags: &["-ldflags", "-s -w"],
        };
        build.into(&folder)?;
        // When it stops, it waits for every process that is called `nginx`. So its image calls it
        // otherwise.
        fs::rename(
            folder.join("nginx"),
            folder.join("nginx-ingress-controller"),
        )?;
        copy(
            &module.folder.join("rootfs/etc/nginx"),
            &folder.join("nginx"),
        )?;
        fs::write(folder.join("done"), Self::VERSION)?;
        Ok(())
    }
}

fn has_packages() -> bool {
    let modules = Path::new(NGINX_MODULES);
    MODULES.iter().all(|it| modules.join(it).is_file()) && Path::new(CJSON).is_file()
}

/// Copies a folder, without the module cache's mark that its files are read-only.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let copied = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &copied)?;
        } else {
            fs::write(copied, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Tool, apt};

/// libfaketime, as the library that a program is started with.
#[derive(Clone, Copy, Debug)]
pub struct Faketime;

impl Tool for Faketime {
    type Installed = PathBuf;

    fn name(&self) -> String {
        "libfaketime (Debian: faketime)".to_owned()
    }

    fn find(&self) -> Result<Option<PathBuf>> {
        // One folder for each kind of processor.
        let folders = fs::read_dir(Path::new("/usr/lib"))?.flatten();
        let library = |folder: fs::DirEntry| folder.path().join("faketime/libfaketimeMT.so.1");
        Ok(folders.map(library).find(|library| library.is_file()))
    }

    fn install(&self) -> Result<()> {
        apt::install(&["faketime"])
    }
}

//! Links to the programs people use, at a place they remember.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// Returns a program of ours: it lies beside the one that runs.
///
/// # Errors
/// When the system does not say where we run.
pub fn beside_us(name: &str) -> io::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    // A build may have replaced us meanwhile; our folder is still there.
    let exe = exe.canonicalize().unwrap_or(exe);
    let folder = exe.parent().unwrap_or_else(|| Path::new("/"));
    // Tests run one folder deeper.
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    Ok(folder.join(name))
}

/// Makes `folder/name` lead to a program, whatever it led to before. A file that is no link is left
/// alone: it is not ours.
///
/// # Errors
/// When the folder cannot be written, or a file is in the way.
pub fn link(folder: &Path, name: &str, program: &Path) -> anyhow::Result<()> {
    let at = folder.join(name);
    let linking = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        if fs::symlink_metadata(&at).is_ok_and(|found| !found.is_symlink()) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a file that is no link is in the way",
            ));
        }
        let beside = folder.join(format!(".{name}.new"));
        let _not_there = fs::remove_file(&beside);
        symlink(program, &beside)?;
        fs::rename(beside, &at)
    };
    linking().with_context(|| format!("linking {} to {}", at.display(), program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        link(&bin, "autoops", Path::new("/old")).unwrap();
        link(&bin, "autoops", Path::new("/new")).unwrap();
        assert_eq!(
            fs::read_link(bin.join("autoops")).unwrap(),
            Path::new("/new")
        );
        fs::write(bin.join("temporal"), "mine").unwrap();
        let error = link(&bin, "temporal", Path::new("/new")).unwrap_err();
        assert!(format!("{error:#}").contains("in the way"));
        assert_eq!(fs::read_to_string(bin.join("temporal")).unwrap(), "mine");
    }

    #[test]
    fn our_programs_lie_beside_each_other() {
        assert!(
            !beside_us("autoops-worker")
                .unwrap()
                .to_string_lossy()
                .contains("deps")
        );
    }
}

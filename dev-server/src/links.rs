//! Links to the programs people use, at a place they remember.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
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

/// Writes a script that runs the temporal CLI against our server, unless `TEMPORAL_ADDRESS` names
/// another one: the usual port may have been taken.
///
/// # Errors
/// When the script cannot be written.
pub fn temporal_script(at: &Path, cli: &Path, address: &str) -> anyhow::Result<()> {
    let cli = cli.display().to_string().replace('\'', r"'\''");
    let text = format!(
        "#!/bin/sh\nexport TEMPORAL_ADDRESS=\"${{TEMPORAL_ADDRESS:-{address}}}\"\nexec '{cli}' \"$@\"\n"
    );
    let writing = || -> io::Result<()> {
        fs::write(at, text)?;
        fs::set_permissions(at, fs::Permissions::from_mode(0o755))
    };
    writing().with_context(|| format!("writing {}", at.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temporal_script_knows_our_server_and_lets_people_name_another() {
        let folder = tempfile::tempdir().unwrap();
        let cli = folder.path().join("it's the cli");
        fs::write(&cli, "#!/bin/sh\necho \"$TEMPORAL_ADDRESS $1\"\n").unwrap();
        fs::set_permissions(&cli, fs::Permissions::from_mode(0o755)).unwrap();
        let script = folder.path().join("temporal");
        temporal_script(&script, &cli, "127.0.0.1:1").unwrap();
        let run = |address: Option<&str>| {
            let mut command = std::process::Command::new(&script);
            command.arg("list").env_remove("TEMPORAL_ADDRESS");
            if let Some(address) = address {
                command.env("TEMPORAL_ADDRESS", address);
            }
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        assert_eq!(run(None), "127.0.0.1:1 list\n");
        assert_eq!(run(Some("there:2")), "there:2 list\n");
    }

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

//! Links to the programs people use, at a place they remember.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::Context;

/// How our scripts begin.
const HEAD: &str = "#!/bin/sh\n# Written by autoops-dev at each start.\n";

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

/// Writes a script that runs a program for what runs here: with a variable that says where that is,
/// unless the caller has set it.
///
/// # Errors
/// When the script cannot be written.
pub fn script(at: &Path, program: &Path, variable: &str, value: &str) -> anyhow::Result<()> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let text = format!(
        "{HEAD}[ -n \"${variable}\" ] || export {variable}={}\nexec {} \"$@\"\n",
        quoted(value),
        quoted(&program.display().to_string()),
    );
    let writing = || -> io::Result<()> {
        // Beside it first: somebody may be running the old one.
        let beside = at.with_added_extension("new");
        fs::write(&beside, text)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755))?;
        fs::rename(beside, at)
    };
    writing().with_context(|| format!("writing {}", at.display()))
}

/// Returns true for what [`script`] has written.
pub(crate) fn is_our_script(path: &Path) -> bool {
    let mut start = [0; HEAD.len()];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| start == *HEAD.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_knows_what_runs_here_and_lets_people_name_another() {
        let folder = tempfile::tempdir().unwrap();
        let cli = folder.path().join("it's the cli");
        fs::write(&cli, "#!/bin/sh\necho \"$PLACE $1\"\n").unwrap();
        fs::set_permissions(&cli, fs::Permissions::from_mode(0o755)).unwrap();
        let script = folder.path().join("temporal");
        super::script(&script, &cli, "PLACE", "it's here").unwrap();
        let run = |place: &str| {
            let mut command = std::process::Command::new(&script);
            let output = command.arg("list").env("PLACE", place).output();
            String::from_utf8(output.unwrap().stdout).unwrap()
        };
        assert_eq!(run(""), "it's here list\n");
        assert_eq!(run("there"), "there list\n");
        assert!(is_our_script(&script) && !is_our_script(&cli));
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

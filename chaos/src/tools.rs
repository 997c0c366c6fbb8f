//! The system's tools, run to their end. One that is not installed is a [`Trouble::Missing`] that names its package.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::Trouble;

/// Where each tool comes from on Debian.
const PACKAGES: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("iptables", "iptables"),
    ("nft", "nftables"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_io", "xfsprogs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mount", "mount"),
    ("umount", "mount"),
    ("losetup", "mount"),
    ("strace", "strace"),
];

pub(crate) fn package_of(tool: &str) -> &str {
    PACKAGES
        .iter()
        .find(|(name, _)| *name == tool)
        .map_or(tool, |(_, package)| package)
}

/// Tools of the system may lie outside the caller's path.
pub(crate) fn command(tool: &str) -> Command {
    let mut command = Command::new(tool);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin:/usr/bin:/bin"))
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

pub(crate) fn not_there(tool: &str, error: &std::io::Error) -> Trouble {
    if error.kind() == std::io::ErrorKind::NotFound {
        let package = package_of(tool);
        Trouble::missing(format!(
            "`{tool}` is not installed here: it is in Debian's package {package}"
        ))
    } else {
        Trouble::failed(format!("`{tool}` cannot be run: {error}"))
    }
}

/// Runs it to its end and gives what it printed.
///
/// # Errors
/// Where it is not there, and where it did not exit with success, with what it said.
pub(crate) fn run(
    tool: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<String, Trouble> {
    let (command, output) = ended(tool, arguments)?;
    said(&command, &output)
}

fn ended(
    tool: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<(Command, Output), Trouble> {
    let mut command = command(tool);
    command.args(arguments);
    let output = command.output().map_err(|error| not_there(tool, &error))?;
    Ok((command, output))
}

/// As [`run`], of a program of the service's own: what it does not do, the service owes.
///
/// # Errors
/// [`Trouble::Service`] where it did not exit with success, with what it said.
pub(crate) fn run_service(
    program: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<String, Trouble> {
    let (command, output) = ended(program, arguments)?;
    said(&command, &output).map_err(|trouble| Trouble::service(trouble.to_string()))
}

/// As [`run`], with `input` on its standard input.
pub(crate) fn feed(tool: &str, arguments: &[&str], input: &str) -> Result<String, Trouble> {
    let mut command = command(tool);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| not_there(tool, &error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Where it does not listen, its exit status says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(|error| not_there(tool, &error))?;
    said(&command, &output)
}

fn said(command: &Command, output: &Output) -> Result<String, Trouble> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(Trouble::failed(format!(
        "`{}` failed ({}): {}",
        words.join(" "),
        output.status,
        complaint.trim()
    )))
}

/// # Errors
/// [`Trouble::Missing`] for anybody but root.
pub(crate) fn need_root() -> Result<(), Trouble> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(Trouble::missing(
            "network namespaces, mounts and signals to others' processes need root: run it with sudo",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_not_there_is_named() {
        let trouble = run("no-such-tool-here", [""; 0]).unwrap_err();
        assert!(matches!(&trouble, Trouble::Missing(sentence) if sentence.contains("no-such-tool-here")));
        let trouble = not_there("nft", &std::io::ErrorKind::NotFound.into());
        assert!(trouble.to_string().contains("package nftables"), "{trouble}");
    }

    #[test]
    fn a_tool_that_fails_is_quoted() {
        let trouble = run("sh", ["-c", "echo because >&2; exit 3"]).unwrap_err();
        assert!(trouble.to_string().contains("because"), "{trouble}");
        assert_eq!(feed("cat", &[], "told").unwrap(), "told");
    }
}

//! `ostraka backup`: a client of the operator port that writes a file, and the check of such a file.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use ostraka_api::wire::format_rfc3339;
use ostraka_core::UnixMs;
use ostraka_core::limits::{BACKUP_BEGIN_MS_MAX, BACKUP_PIECE_BYTES, BACKUP_STALL_MS_MAX};
use serde_json::json;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::operator_port::open;
use super::{BackupArgs, runtime, say};
use crate::atomic_file::AtomicFile;
use crate::backup::codec::{CodecError, Decoder, Encoder};
use crate::backup::file::{BackupFile, Summary};
use crate::backup::{Content, Header, Part};
use crate::secrets::Secrets;

const BEGIN_TIMEOUT: Duration = Duration::from_millis(BACKUP_BEGIN_MS_MAX);
const STALL_TIMEOUT: Duration = Duration::from_millis(BACKUP_STALL_MS_MAX);
/// Pieces that wait between the network and the disk.
const PIECES_AHEAD: usize = 4;

pub(super) fn backup(args: &BackupArgs) -> Result<(), String> {
    match (&args.check, &args.out) {
        (Some(path), _) => check(path, args.json),
        (None, Some(out)) => take(args, out),
        (None, None) => Err("name the file to write with --out, or one to check with --check".to_owned()),
    }
}

fn check(path: &Path, as_json: bool) -> Result<(), String> {
    let file = BackupFile::open(path).map_err(|error| error.to_string())?;
    let contents = file.contents().map_err(|error| error.to_string())?;
    let summary = contents.summary(file.header());
    if as_json {
        say(serde_json::to_string_pretty(&summary).expect("it is JSON"));
    } else {
        say(told(&summary).trim_end());
        say(format_args!("The whole file was read: it can be restored."));
    }
    Ok(())
}

/// What is in a backup, for people.
pub(super) fn told(summary: &Summary) -> String {
    let header = &summary.header;
    let cluster = header
        .cluster
        .map_or("without a number".to_owned(), |id| id.to_string());
    let mut text = format!(
        "Cluster {cluster}, backed up through node {} by ostraka {} at {}.\n",
        header.node,
        header.ostraka,
        format_rfc3339(UnixMs(header.taken_at))
    );
    if let Some(point) = summary.votes_at {
        text.push_str(&format!(
            "Votes up to entry {}: {} events, {} votes counted.\n",
            point.index, summary.events, summary.votes_counted
        ));
    }
    if let Some(point) = summary.accounts_at {
        text.push_str(&format!(
            "Accounts up to entry {}: {}.\n",
            point.index, summary.accounts
        ));
    }
    text.push_str(&match header.has(Content::Secrets) {
        true => format!(
            "The cluster's secrets (fingerprint {}) are in it.\n",
            header.secrets
        ),
        false => format!(
            "The cluster's secrets (fingerprint {}) are not in it: keep them elsewhere.\n",
            header.secrets
        ),
    });
    text
}

fn take(args: &BackupArgs, out: &Path) -> Result<(), String> {
    let secrets = args.with_secrets.as_deref().map(SecretsPart::read).transpose()?;
    let unwritable = |error: io::Error| format!("the backup cannot be written to {}: {error}", out.display());
    let file = AtomicFile::create(out).map_err(unwritable)?;
    let (header, file) = runtime()?.block_on(fetch(args, file, secrets))?;
    // Read again before it gets its name: what is on this disk is what counts.
    let temporary = BackupFile::open(file.temporary()).and_then(|written| written.check_snapshots());
    temporary.map_err(|error| error.to_string())?;
    file.finish().map_err(unwritable)?;
    if args.json {
        say(serde_json::to_string_pretty(&header).expect("it is JSON"));
    } else {
        let bytes: u64 = header.parts.iter().map(|part| part.bytes).sum();
        say(format_args!(
            "{}: {bytes} bytes of cluster {}; `ostraka backup --check` reads all of it.",
            out.display(),
            header
                .cluster
                .map_or("without a number".to_owned(), |id| id.to_string())
        ));
    }
    Ok(())
}

/// Has a node take a backup, and writes what comes. The file is not finished yet.
async fn fetch(
    args: &BackupArgs,
    mut file: AtomicFile,
    secrets: Option<SecretsPart>,
) -> Result<(Header, AtomicFile), String> {
    let operator = &args.operator;
    let asked = open(operator, Method::POST, "/v1/cluster/backup", json!({}));
    let body = tokio::time::timeout(BEGIN_TIMEOUT, asked)
        .await
        .map_err(|_| format!("{operator} did not begin a backup within {BEGIN_TIMEOUT:?}"))?
        .map_err(|failure| failure.sentence)?;
    let (pieces, received) = mpsc::channel(PIECES_AHEAD);
    let writing = tokio::task::spawn_blocking(move || {
        let header = copy(Pieces::new(received), &mut file, secrets)?;
        Ok::<_, String>((header, file))
    });
    receive(body, pieces).await;
    let written = writing.await.map_err(|error| error.to_string())?;
    written
        .map_err(|sentence| format!("there is no backup, because of what came from {operator}: {sentence}"))
}

/// Hands the answer's body on, piece by piece; what ends it early too.
async fn receive(mut body: Incoming, pieces: mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let late = || {
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("nothing came for {STALL_TIMEOUT:?}"),
            )
        };
        let piece = match tokio::time::timeout(STALL_TIMEOUT, body.frame()).await {
            Err(_) => Err(late()),
            Ok(None) => return,
            Ok(Some(Err(error))) => Err(io::Error::other(error)),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Ok(data),
                Err(_trailers) => continue,
            },
        };
        let is_last = piece.is_err();
        if pieces.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

/// What comes over the network, as something to read from.
struct Pieces {
    received: mpsc::Receiver<io::Result<Bytes>>,
    now: Bytes,
}

impl Pieces {
    fn new(received: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self {
            received,
            now: Bytes::new(),
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.received.blocking_recv() {
                Some(piece) => self.now = piece?,
                None => return Ok(0),
            }
        }
        let taken = out.len().min(self.now.len());
        self.now.copy_to_slice(&mut out[..taken]);
        Ok(taken)
    }
}

/// A file of secrets that is to go into the backup.
struct SecretsPart {
    path: PathBuf,
    fingerprint: String,
    text: Zeroizing<String>,
}

impl SecretsPart {
    fn read(path: &Path) -> Result<Self, String> {
        let (secrets, text) = Secrets::load_text(path).map_err(|error| error.to_string())?;
        Ok(Self {
            path: path.to_path_buf(),
            fingerprint: secrets.fingerprint(),
            text,
        })
    }
}

/// Checks what comes and writes it, with the secrets behind it if they are wanted. What was written.
fn copy(input: impl Read, file: &mut AtomicFile, secrets: Option<SecretsPart>) -> Result<Header, String> {
    let told = |error: CodecError| error.to_string();
    let mut decoder = Decoder::start(input).map_err(told)?;
    let mut header = decoder.header().clone();
    if let Some(secrets) = &secrets {
        if secrets.fingerprint != header.secrets {
            return Err(format!(
                "the secrets in {} (fingerprint {}) are not those of this cluster (fingerprint {})",
                secrets.path.display(),
                secrets.fingerprint,
                header.secrets
            ));
        }
        header.parts.push(Part {
            content: Content::Secrets,
            bytes: secrets.text.len() as u64,
        });
    }
    let unwritable = |error: io::Error| format!("it cannot be written: {error}");
    let (encoder, head) = Encoder::start(&header).map_err(unwritable)?;
    file.write_all(&head).map_err(unwritable)?;
    let mut out = Parts { encoder, file };
    while decoder.part(&mut out).map_err(told)?.is_some() {
        out.end_part().map_err(unwritable)?;
    }
    if let Some(secrets) = secrets {
        out.write_all(secrets.text.as_bytes()).map_err(unwritable)?;
        out.end_part().map_err(unwritable)?;
    }
    let Parts { encoder, file } = out;
    file.write_all(&encoder.end()).map_err(unwritable)?;
    file.flush().map_err(unwritable)?;
    Ok(header)
}

struct Parts<'a> {
    encoder: Encoder,
    file: &'a mut AtomicFile,
}

impl Parts<'_> {
    fn end_part(&mut self) -> io::Result<()> {
        self.file.write_all(&self.encoder.end_part())
    }
}

impl Write for Parts<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BACKUP_PIECE_BYTES);
        self.file.write_all(&bytes[..taken])?;
        self.encoder.take(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};

use crate::decide::{self, Question, REPORT_FORMAT, Report};
use crate::evidence::read_folder;
use crate::verdict::Verdict;
use crate::{generate, objectives, output};

/// Exit codes: 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 NO-DATA, 64 wrong arguments or files.
#[derive(Parser)]
#[command(name = "slo", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Decides whether a release keeps its objectives, from what simulator, chaos, load and probes have left
    Gate(GateArgs),
    /// Writes what is made of the objectives: rules, their tests, routes, dashboards
    Generate(GenerateArgs),
}

#[derive(Args)]
struct GateArgs {
    /// Folder of evidence files
    #[arg(long)]
    evidence: PathBuf,
    /// The commit that is to be released, at least 7 letters of it [default: what is checked out here]
    #[arg(long)]
    commit: Option<String>,
    /// The JSON report of an earlier release
    #[arg(long)]
    baseline: Option<PathBuf>,
    /// Waivers, YAML
    #[arg(long)]
    waivers: Option<PathBuf>,
    /// Objectives, OpenSLO v1 [default: those that this program was built with]
    #[arg(long)]
    objectives: Option<PathBuf>,
    /// Older evidence is refused
    #[arg(long, default_value_t = 168, value_parser = clap::value_parser!(u64).range(1..=8_760))]
    hours_max: u64,
    /// Where the report goes as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where it goes as JUnit XML
    #[arg(long)]
    junit: Option<PathBuf>,
    /// Where it goes as a page
    #[arg(long)]
    html: Option<PathBuf>,
}

#[derive(Args)]
struct GenerateArgs {
    /// Writes nothing: fails where a file differs from what would be written
    #[arg(long)]
    check: bool,
    #[arg(long, default_value = "slo/generated")]
    out: PathBuf,
}

const WRONG_ARGUMENTS: u8 = 64;

/// Reads the arguments of this process and does what they say.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors and go to standard output.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(WRONG_ARGUMENTS)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let done = match cli.command {
        Command::Gate(args) => gate(&args),
        Command::Generate(args) => generated(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::from(WRONG_ARGUMENTS)
        }
    }
}

fn gate(args: &GateArgs) -> Result<u8, String> {
    let objectives = match &args.objectives {
        None => objectives::built_in(),
        Some(path) => objectives::read(&text_of(path)?).map_err(named(path))?,
    };
    let commit = match &args.commit {
        Some(commit) => commit.clone(),
        None => checked_out().ok_or("git does not say what is checked out here: give --commit")?,
    };
    let waivers = match &args.waivers {
        None => Vec::new(),
        Some(path) => decide::read_waivers(&text_of(path)?, &objectives).map_err(named(path))?,
    };
    let baseline = args.baseline.as_deref().map(baseline_of).transpose()?;
    let folder = match read_folder(&args.evidence) {
        Ok(folder) => folder,
        Err(sentence) => {
            eprintln!("NO-DATA: {sentence}");
            return Ok(Verdict::NoData.exit_code());
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let report = decide::decide(&Question {
        objectives: &objectives,
        folder: &folder,
        commit: &commit,
        now_s: now.as_secs(),
        age_s_max: args.hours_max * 3_600,
        waivers: &waivers,
        baseline: baseline.as_ref(),
    });
    print!("{}", output::table(&report));
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        write(path, &json)?;
    }
    if let Some(path) = &args.junit {
        write(path, &output::junit(&report))?;
    }
    if let Some(path) = &args.html {
        write(path, &output::page(&report))?;
    }
    Ok(report.verdict.exit_code())
}

fn baseline_of(path: &Path) -> Result<Report, String> {
    let report: Report = serde_json::from_str(&text_of(path)?)
        .map_err(|error| format!("{} is no report of an earlier gate: {error}", path.display()))?;
    if report.format != REPORT_FORMAT {
        return Err(format!(
            "{} has format {}, and this gate knows format {REPORT_FORMAT} alone",
            path.display(),
            report.format
        ));
    }
    Ok(report)
}

fn generated(args: &GenerateArgs) -> Result<u8, String> {
    let files = generate::all(&objectives::built_in())?;
    if args.check {
        let differing: Vec<&str> = files
            .iter()
            .filter(|(name, text)| std::fs::read_to_string(args.out.join(name)).ok().as_ref() != Some(text))
            .map(|(name, _)| name.as_str())
            .collect();
        if differing.is_empty() {
            println!("{} files are in step with the objectives", files.len());
            return Ok(Verdict::Pass.exit_code());
        }
        println!(
            "not in step with the objectives, run `slo generate`: {}",
            differing.join(", ")
        );
        return Ok(Verdict::Fail.exit_code());
    }
    for (name, text) in &files {
        write(&args.out.join(name), text)?;
    }
    println!("{} files written into {}", files.len(), args.out.display());
    Ok(Verdict::Pass.exit_code())
}

fn text_of(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn named<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be written: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

/// As the programs name it that write evidence: with `-dirty` behind it where files differ.
fn checked_out() -> Option<String> {
    let output = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

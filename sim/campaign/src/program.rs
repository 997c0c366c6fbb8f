//! A simulator's program, and how a person or another process starts it.

use std::path::{Path, PathBuf};

use ostraka_sim_model::evidence::Maker;

use crate::complain;
use crate::files::digest_of_this_program;

/// A simulator's program.
#[derive(Clone, Debug)]
pub struct Program {
    /// In front of the names of its files.
    pub name: &'static str,
    /// How a person starts it.
    pub command: &'static str,
    /// Of the tree that it was built from.
    pub commit: &'static str,
    /// Where runs leave their files.
    pub evidence: PathBuf,
    /// Passes that a process makes of its seed.
    pub passes: u8,
    /// What each of its processes is told besides its seed or file.
    pub arguments: Vec<String>,
    /// The fault that is put into nodes or simulator on purpose.
    pub plant: Option<String>,
}

impl Program {
    /// The whole command that runs a file again, as it would be typed into a shell.
    pub fn again(&self, file: &Path) -> String {
        let file = file.display().to_string();
        // It would be taken for an option.
        let file = if file.starts_with('-') {
            format!("./{file}")
        } else {
            file
        };
        let mut command = format!("{} replay {}", self.command, quoted(&file));
        for argument in self.manner() {
            command.push(' ');
            command.push_str(&quoted(&argument));
        }
        command
    }

    /// The arguments of each process besides its seed or file.
    pub(crate) fn manner(&self) -> Vec<String> {
        let mut all = self.arguments.clone();
        if let Some(plant) = &self.plant {
            all.extend(["--plant".to_owned(), plant.clone()]);
        }
        all
    }

    /// As its files name it.
    pub(crate) fn maker(&self) -> Maker {
        Maker {
            simulator: self.name.to_owned(),
            program: digest_of_this_program(),
            commit: self.commit.to_owned(),
            plant: self.plant.clone(),
        }
    }

    /// This program as it runs that maker's plan again: with the same fault put in, unless another one was asked for.
    pub(crate) fn as_by(&self, maker: &Maker) -> Program {
        let mut program = self.clone();
        match (&maker.plant, &self.plant) {
            (Some(theirs), _) if maker.simulator != self.name => complain(format_args!(
                "the file was made with the planted fault {theirs:?}, which only the simulator {:?} can put in",
                maker.simulator
            )),
            (Some(theirs), None) => {
                complain(format_args!(
                    "the file was made with the planted fault {theirs:?}, which is to be put in again"
                ));
                program.plant = Some(theirs.clone());
            }
            (theirs, Some(own)) if theirs.as_ref() != Some(own) => complain(format_args!(
                "the file was made with {}, and {own} is put in, as asked",
                theirs
                    .as_ref()
                    .map_or("no planted fault".to_owned(), |theirs| format!(
                        "the planted fault {theirs:?}"
                    ))
            )),
            _ => {}
        }
        program
    }
}

/// For a POSIX shell: a word that means nothing else stays as it is.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_@%+=:,./-".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::Command;

    use super::*;

    pub(crate) fn program(evidence: PathBuf) -> Program {
        Program {
            name: "sim",
            command: "sim",
            commit: "0123abc",
            evidence,
            passes: 1,
            arguments: vec!["--unchecked".to_owned()],
            plant: Some("stale-reads".to_owned()),
        }
    }

    #[test]
    fn a_printed_command_is_complete() {
        let program = program(PathBuf::new());
        assert_eq!(
            program.again(Path::new("target/evidence/sim-seed-7.json")),
            "sim replay target/evidence/sim-seed-7.json --unchecked --plant stale-reads"
        );
        assert_eq!(
            program.again(Path::new("-a b.json")),
            "sim replay './-a b.json' --unchecked --plant stale-reads"
        );
    }

    #[test]
    fn a_shell_reads_a_quoted_word_as_it_was() {
        for word in [
            "a b",
            "it's",
            "$HOME `date` \"x\" \\ *",
            "",
            "~",
            "a\nb",
            "ümlaut;rm",
        ] {
            let said = Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(word))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), word);
        }
    }

    #[test]
    fn a_planted_fault_is_put_in_again_unless_another_is_asked_for() {
        let mut program = program(PathBuf::new());
        let mut maker = program.maker();
        assert_eq!(program.as_by(&maker).plant.as_deref(), Some("stale-reads"));
        maker.plant = Some("other-chance".to_owned());
        assert_eq!(program.as_by(&maker).plant.as_deref(), Some("stale-reads"));
        program.plant = None;
        assert_eq!(program.as_by(&maker).plant.as_deref(), Some("other-chance"));
        maker.simulator = "another".to_owned();
        assert_eq!(program.as_by(&maker).plant, None);
    }
}

//! Rules on Rust sources. They read tokens, not lines, so that a comment or a text may speak of what code may not do.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::Violation;

const FILE_LINES_MAX: usize = 500;

/// The only files of the service that may ask the machine for time or chance.
const ENVIRONMENT: &[&str] = &["service/node/src/env.rs", "service/node/src/main.rs"];

/// Where the consensus library is given its runtime: its trait calls the source of chance `thread_rng`.
const RUNTIME_SEAM: &str = "service/replication/src/runtime/mod.rs";

/// The one module with limits in it: this file, and the folder of its name.
const LIMITS: &str = "service/core/src/limits";

/// Where the storage engine's own file format is read: its numbers are facts about it.
const ENGINE_FORMAT: &str = "service/replication/src/sled_folder/";

/// One token of a file, in reading order, groups opened up.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

/// All rules for one Rust file. `path` is relative to the repository, with `/`.
pub(crate) fn check(path: &str, text: &str) -> Vec<Violation> {
    let mut found: Vec<_> = too_long(path, text).into_iter().collect();
    let Ok(stream) = text.parse::<TokenStream>() else {
        found.push(Violation::new(
            path,
            "cannot be read as Rust: make it compile first",
        ));
        return found;
    };
    let all = flat(stream.clone());
    found.extend(unfinished(path, &all));
    found.extend(unbiased_select(path, &all));
    found.extend(tokio_watch(path, &all));
    if !is_test_file(path) {
        let production = flat(without_tests(stream));
        found.extend(impure_core(path, &production));
        found.extend(machine_time_and_chance(path, &production));
        found.extend(judge_that_knows_the_accused(path, &production));
        found.extend(stray_limit(path, &production));
    }
    found
}

/// Tests and measuring tools: nothing of them runs in the service.
fn is_test_file(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "examples"))
}

fn too_long(path: &str, text: &str) -> Option<Violation> {
    let lines = text.lines().count();
    (lines > FILE_LINES_MAX).then(|| {
        Violation::new(path, format!("has {lines} lines, {FILE_LINES_MAX} at most: move a part that has a name of its own to its own file"))
    })
}

fn unfinished(path: &str, tokens: &[Token]) -> Vec<Violation> {
    let mut found = Vec::new();
    for name in ["todo", "unimplemented"] {
        found.extend(lines_with(tokens, &[name, "!"]).into_iter().map(|line| {
            at(
                path,
                line,
                format!("holds {name}!: write the code, or leave its caller out until it exists"),
            )
        }));
    }
    found
}

fn unbiased_select(path: &str, tokens: &[Token]) -> Vec<Violation> {
    let selects = (0..tokens.len()).filter(|&i| matches(tokens, i, &["select", "!"]));
    selects
        .filter(|&i| !matches(tokens, i + 3, &["biased", ";"]))
        .map(|i| {
            at(path, tokens[i].line, "holds a select! that throws dice: begin it with `biased;` and put the branch that must win first")
        })
        .collect()
}

/// `tokio::sync::watch`, by its path or out of a group of imports.
fn tokio_watch(path: &str, tokens: &[Token]) -> Vec<Violation> {
    let direct = lines_with(tokens, &["sync", "::", "watch"]);
    let grouped = (0..tokens.len())
        .filter(|&i| matches(tokens, i, &["sync", "::", "{"]))
        .flat_map(|i| {
            group(tokens, i + 2)
                .iter()
                .filter(|token| token.text == "watch")
                .map(|token| token.line)
        });
    direct
        .into_iter()
        .chain(grouped)
        .filter(|_| path.starts_with("service/"))
        .map(|line| {
            at(path, line, "uses tokio's watch, whose order of waking comes from tokio's own dice: use ostraka_replication::runtime::watch")
        })
        .collect()
}

fn impure_core(path: &str, tokens: &[Token]) -> Vec<Violation> {
    const NEVER: &[(&str, &str)] = &[
        ("HashMap", "use BTreeMap or a table with a fixed order"),
        ("HashSet", "use BTreeSet or a table with a fixed order"),
        ("Instant", "take the time as an argument"),
        ("SystemTime", "take the time as an argument"),
        ("rand", "take chance as an argument"),
        ("async", "do the waiting in service/node or service/replication"),
        ("fs", "take bytes as an argument, do the I/O outside"),
        ("net", "take bytes as an argument, do the I/O outside"),
        ("thread", "core is one pure function: do the rest outside"),
    ];
    if !path.starts_with("service/core/") {
        return Vec::new();
    }
    let named = |token: &Token| NEVER.iter().find(|(name, _)| token.text == *name);
    tokens
        .iter()
        .filter_map(|token| {
            let (name, instead) = named(token)?;
            Some(at(
                path,
                token.line,
                format!("names {name}, and core is pure: {instead}"),
            ))
        })
        .collect()
}

fn machine_time_and_chance(path: &str, tokens: &[Token]) -> Vec<Violation> {
    const NEVER: &[&[&str]] = &[
        &["SystemTime"],
        &["thread_rng"],
        &["OsRng"],
        &["SysRng"],
        &["getrandom"],
        &["uuid"],
        &["rand", "::", "rng", "("],
        &["rand", "::", "random"],
        &["time", "::", "Instant"],
        &["OffsetDateTime", "::", "now_utc"],
    ];
    // tokio's Instant follows the simulated clock; std's does not.
    let simulated = |i: usize| i >= 2 && tokens[i - 1].text == "::" && tokens[i - 2].text == "tokio";
    if !path.starts_with("service/") || ENVIRONMENT.contains(&path) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for sequence in NEVER {
        if path == RUNTIME_SEAM && *sequence == ["thread_rng"] {
            continue;
        }
        let hits = (0..tokens.len()).filter(|&i| matches(tokens, i, sequence) && !simulated(i));
        found.extend(hits.map(|i| {
            at(
                path,
                tokens[i].line,
                format!(
                    "asks the machine by {}: take time and chance from Env",
                    sequence.concat()
                ),
            )
        }));
    }
    let grouped = (0..tokens.len()).filter(|&i| matches(tokens, i, &["std", "::", "time", "::", "{"]));
    for i in grouped {
        let instants = group(tokens, i + 4)
            .iter()
            .filter(|token| token.text == "Instant");
        found.extend(instants.map(|token| {
            at(
                path,
                token.line,
                "asks the machine by std::time::Instant: take time and chance from Env",
            )
        }));
    }
    found
}

/// The simulators' model judges the service; had it the service's own logic, it would share its faults.
fn judge_that_knows_the_accused(path: &str, tokens: &[Token]) -> Vec<Violation> {
    if !path.starts_with("sim/model/") {
        return Vec::new();
    }
    ["state", "State", "apply", "Applied"]
        .iter()
        .flat_map(|name| lines_with(tokens, &["ostraka_core", "::", name]))
        .map(|line| {
            at(
                path,
                line,
                "judges with the service's own logic: write the rule again, from the contract, in the model",
            )
        })
        .collect()
}

fn is_of_limits(path: &str) -> bool {
    path.strip_prefix(LIMITS)
        .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// A constant of the service that is a limit by its name and has a number of its own, instead of one made from limits.
fn stray_limit(path: &str, tokens: &[Token]) -> Vec<Violation> {
    const WORDS: &[&str] = &["MAX", "MIN", "LIMIT", "TIMEOUT", "PAUSE", "INTERVAL", "PERIOD"];
    if !path.starts_with("service/") || is_of_limits(path) || path.starts_with(ENGINE_FORMAT) {
        return Vec::new();
    }
    let is_constant = |token: &Token| {
        token.text.len() > 1
            && token
                .text
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    // A parameter of a type or function is no constant.
    let is_parameter = |i: usize| i > 0 && ["<", ","].contains(&tokens[i - 1].text.as_str());
    let named = |i: usize| {
        matches(tokens, i, &["const"])
            && !is_parameter(i)
            && matches(tokens, i + 2, &[":"])
            && tokens[i + 1].text.split('_').any(|word| WORDS.contains(&word))
    };
    let value_of = |i: usize| {
        let ends = tokens[i..].iter().position(|token| token.text == ";");
        let item = &tokens[i..ends.map_or(tokens.len(), |end| i + end)];
        let begins = item
            .iter()
            .position(|token| token.text == "=")
            .unwrap_or(item.len());
        &item[begins..]
    };
    (0..tokens.len())
        .filter(|&i| named(i) && !value_of(i).iter().any(is_constant))
        .map(|i| {
            let name = &tokens[i + 1].text;
            at(
                path,
                tokens[i].line,
                format!("holds the limit {name}: move it to {LIMITS}.rs, with its unit and its reason"),
            )
        })
        .collect()
}

fn at(path: &str, line: usize, what_to_do: impl Into<String>) -> Violation {
    Violation::new(format!("{path}:{line}"), what_to_do)
}

fn matches(tokens: &[Token], start: usize, sequence: &[&str]) -> bool {
    sequence
        .iter()
        .enumerate()
        .all(|(i, text)| tokens.get(start + i).is_some_and(|token| token.text == *text))
}

fn lines_with(tokens: &[Token], sequence: &[&str]) -> Vec<usize> {
    (0..tokens.len())
        .filter(|&i| matches(tokens, i, sequence))
        .map(|i| tokens[i].line)
        .collect()
}

/// The tokens of the group that opens at `open`, its brackets included.
fn group(tokens: &[Token], open: usize) -> &[Token] {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &tokens[open..=i];
        }
    }
    &tokens[open..]
}

/// Opens groups up and joins `:` `:` to `::`. Literals, doc comments among them, are left out.
fn flat(stream: TokenStream) -> Vec<Token> {
    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    tokens
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                tokens.push(Token {
                    text: open.to_string(),
                    line,
                });
                flatten(group.stream(), tokens);
                tokens.push(Token {
                    text: close.to_string(),
                    line: group.span_close().start().line,
                });
            }
            TokenTree::Punct(punct) => match tokens.last_mut() {
                Some(last) if punct.as_char() == ':' && last.text == ":" => last.text.push(':'),
                _ => tokens.push(Token {
                    text: punct.as_char().to_string(),
                    line,
                }),
            },
            TokenTree::Ident(ident) => tokens.push(Token {
                text: ident.to_string(),
                line,
            }),
            TokenTree::Literal(_) => {}
        }
    }
}

/// The file without what stands under `#[cfg(test)]`.
fn without_tests(stream: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    let mut trees = stream.into_iter();
    while let Some(tree) = trees.next() {
        let after_hash = matches!(kept.last(), Some(TokenTree::Punct(punct)) if punct.as_char() == '#');
        if after_hash && is_cfg_test(&tree) {
            kept.pop();
            // The item goes up to its body or, where it has none, its semicolon.
            for tree in trees.by_ref() {
                match tree {
                    TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
                    TokenTree::Punct(punct) if punct.as_char() == ';' => break,
                    _ => {}
                }
            }
        } else {
            kept.push(tree);
        }
    }
    kept.into_iter().collect()
}

fn is_cfg_test(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket
        && group.stream().to_string().replace(' ', "") == "cfg(test)")
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;

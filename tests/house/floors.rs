//! Imports go down the floors only.
//!
//! ```text
//! 6 main   5 app   4 config   3 ingress relay enricher simulator
//! 2 journal kafka connector credentials   1 telemetry shutdown ...   0 webhook
//! ```
//!
//! Found are `crate::`, `self::` and `super::` paths, in `use` with nested groups and inline, anywhere
//! outside comments and literals. A module sees lower floors and itself; on floor 1, where the parts
//! are small and plain, its neighbours too. Unit tests may also play against the simulator.

use std::path::Path;

use crate::tree::{root, source_files};

const FLOORS: [&[&str]; 7] = [
    &["webhook"],
    &["telemetry", "causes", "shutdown", "backoff", "secret", "reload", "duration", "hash", "size"],
    &["journal", "kafka", "connector", "credentials"],
    &["ingress", "relay", "enricher", "simulator"],
    &["config"],
    &["app"],
    &["main"],
];

/// The only floor whose modules may import each other.
const NEIGHBOURLY: usize = 1;

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// What is wrong with `from` importing `to`, if anything.
fn objection(from: &str, to: &str) -> Option<String> {
    let (Some(from_floor), Some(to_floor)) = (floor(from), floor(to)) else {
        return Some(format!("{from} imports {to}, one of which is on no floor"));
    };
    if from == to || to_floor < from_floor || (to_floor == from_floor && from_floor == NEIGHBOURLY) {
        return None;
    }
    Some(format!("{from} (floor {from_floor}) imports {to} (floor {to_floor})"))
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Path,
    Mark(char),
}

/// Words and marks of Rust source; comments, strings and character literals are left out.
fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        at += match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['r', '"' | '#', ..] | ['b', 'r', '"' | '#', ..] if raw_string(rest).is_some() => {
                raw_string(rest).unwrap_or(rest.len())
            }
            ['"', ..] => string(rest),
            ['\'', ..] => character(rest),
            [':', ':', ..] => {
                tokens.push(Token::Path);
                2
            }
            [first, ..] if first.is_alphanumeric() || *first == '_' => {
                let end = rest.iter().position(|c| !(c.is_alphanumeric() || *c == '_')).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].iter().collect()));
                end
            }
            [first, ..] => {
                if !first.is_whitespace() {
                    tokens.push(Token::Mark(*first));
                }
                1
            }
            [] => 1,
        };
    }
    tokens
}

fn block_comment(text: &[char]) -> usize {
    let (mut open, mut at) = (0, 0);
    while at < text.len() {
        match &text[at..] {
            ['/', '*', ..] => {
                open += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                open -= 1;
                at += 2;
                if open == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn raw_string(text: &[char]) -> Option<usize> {
    let start = text.iter().position(|c| *c == 'r')? + 1;
    let hashes = text[start..].iter().take_while(|c| **c == '#').count();
    let open = start + hashes;
    if text.get(open) != Some(&'"') {
        return None;
    }
    let end = (open + 1..text.len()).find(|at| {
        text[*at] == '"' && text[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    });
    Some(end.map_or(text.len(), |end| end + 1 + hashes))
}

fn string(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// A character literal, or the quote of a lifetime.
fn character(text: &[char]) -> usize {
    match text {
        ['\'', '\\', ..] => text.iter().skip(3).position(|c| *c == '\'').map_or(1, |end| end + 4),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

/// The top-level modules that a file's paths lead to. `here` is the file's own module path.
fn imports(source: &str, here: &[String]) -> Vec<String> {
    let tokens = tokens(source);
    let mut module = here.to_vec();
    // For every open brace, whether it is an inline module's.
    let mut braces = Vec::new();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match (&tokens[at], tokens.get(at + 1), tokens.get(at + 2)) {
            (Token::Word(word), Some(Token::Word(name)), Some(Token::Mark('{'))) if word == "mod" => {
                module.push(name.clone());
                braces.push(true);
                at += 3;
                continue;
            }
            (Token::Mark('{'), ..) => braces.push(false),
            (Token::Mark('}'), ..) if braces.pop() == Some(true) => drop(module.pop()),
            (Token::Word(word), Some(Token::Path), _)
                if begins_path(word) && (at == 0 || tokens[at - 1] != Token::Path) =>
            {
                at = path(&tokens, at, &module, &mut found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn begins_path(word: &str) -> bool {
    matches!(word, "crate" | "mews_bridge" | "super" | "self")
}

/// Follows one path or group from `at`, relative to `base`; returns where it ends.
fn path(tokens: &[Token], mut at: usize, base: &[String], found: &mut Vec<String>) -> usize {
    let mut base = base.to_vec();
    loop {
        match tokens.get(at) {
            Some(Token::Word(word)) if word == "crate" || word == "mews_bridge" => base.clear(),
            Some(Token::Word(word)) if word == "super" => drop(base.pop()),
            Some(Token::Word(word)) if word == "self" => {}
            Some(Token::Mark('{')) => return group(tokens, at, &base, found),
            Some(Token::Word(word)) if base.is_empty() => {
                found.push(word.clone());
                base.push(word.clone());
            }
            Some(Token::Word(_)) => {}
            Some(Token::Mark('*')) if base.is_empty() => found.push("*".to_owned()),
            _ => return at,
        }
        at += 1;
        if tokens.get(at) != Some(&Token::Path) {
            return at;
        }
        at += 1;
    }
}

fn group(tokens: &[Token], mut at: usize, base: &[String], found: &mut Vec<String>) -> usize {
    at += 1;
    while at < tokens.len() && tokens[at] != Token::Mark('}') {
        at = path(tokens, at, base, found).max(at + 1);
        // `as name` and the comma.
        while at < tokens.len() && !matches!(tokens[at], Token::Mark(',' | '}')) {
            at += 1;
        }
        if tokens.get(at) == Some(&Token::Mark(',')) {
            at += 1;
        }
    }
    at + 1
}

/// `src/journal/frame.rs` is `["journal", "frame"]`.
fn module_path(file: &Path) -> Vec<String> {
    let under = file.strip_prefix(root().join("src")).expect("source files are under src");
    under.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect()
}

#[test]
fn imports_go_down_the_floors_only() {
    let mut objections = Vec::new();
    let mut checked = 0;
    for file in source_files() {
        let here = module_path(&file);
        let source = std::fs::read_to_string(&file).unwrap();
        let own = here[0].as_str();
        if own == "lib" {
            continue;
        }
        if floor(own).is_none() {
            objections.push(format!("{}: {own} is on no floor", file.display()));
        }
        let here = if own == "main" { Vec::new() } else { here.clone() };
        let is_test = here.iter().any(|part| part == "tests");
        for to in imports(&source, &here) {
            checked += 1;
            if is_test && to == "simulator" {
                continue;
            }
            objections.extend(objection(own, &to).map(|text| format!("{}: {text}", file.display())));
        }
    }
    println!("floors: {checked} imports, {} against the rule", objections.len());
    assert!(objections.is_empty(), "{}", objections.join("\n"));
    assert!(checked > 0, "imports are found at all");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<String> {
        imports(source, &["relay".to_owned(), "lane".to_owned()])
    }

    #[test]
    fn nested_groups_and_inline_paths_are_followed() {
        assert_eq!(
            found(
                "use crate::{journal::{self, Reader}, kafka as k, webhook::{a::{b, c}, *}}; fn f(x: crate::app::Y) {}"
            ),
            ["journal", "kafka", "webhook", "app"]
        );
    }

    #[test]
    fn super_is_resolved_through_inline_modules() {
        assert_eq!(found("use super::cursor;"), [""; 0]);
        assert_eq!(found("use super::super::ingress::Config;"), ["ingress"]);
        assert_eq!(found("use super::{super::config, fan_out};"), ["config"]);
        assert_eq!(
            found("mod tests { use super::*; use super::super::super::app; } use super::super::kafka;"),
            ["app", "kafka"]
        );
    }

    #[test]
    fn comments_and_literals_import_nothing() {
        let source = r####"// crate::app
            /* crate::app /* */ crate::app */ const A: &str = "crate::app"; const B: &str = r#"" crate::app"#;
            const C: char = '"'; fn f<'a>() -> &'a str { crate::size::X } const D: char = '\''; // "
            "####;
        assert_eq!(found(source), ["size"]);
    }

    #[test]
    fn up_sideways_and_unknown_are_refused() {
        for (from, to) in [
            ("journal", "kafka"),
            ("relay", "ingress"),
            ("kafka", "config"),
            ("webhook", "secret"),
            ("app", "helpers"),
            ("relay", "*"),
        ] {
            assert!(objection(from, to).is_some(), "{from} {to}");
        }
        for (from, to) in
            [("app", "ingress"), ("relay", "journal"), ("relay", "relay"), ("reload", "telemetry")]
        {
            assert!(objection(from, to).is_none(), "{from} {to}");
        }
    }
}

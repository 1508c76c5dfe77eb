//! Every package that is built in may be given away with a binary under MIT or Apache-2.0.

use std::process::Command;

use serde::Deserialize;

use crate::tree::root;

/// Permissive licences: at most their texts must travel along.
const ALLOWED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

/// A licence expression of SPDX: `OR` gives the choice, `AND` asks for both, `WITH` adds an exception.
///
/// The `/` of older manifests means `OR`.
fn is_allowed(expression: &str) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words: Vec<_> = spaced.split_whitespace().rev().collect();
    let verdict = any(&mut words)?;
    if words.is_empty() { Ok(verdict) } else { Err(format!("{expression:?} has too much")) }
}

fn any(words: &mut Vec<&str>) -> Result<bool, String> {
    let mut verdict = all(words)?;
    while words.pop_if(|word| *word == "OR").is_some() {
        verdict |= all(words)?;
    }
    Ok(verdict)
}

fn all(words: &mut Vec<&str>) -> Result<bool, String> {
    let mut verdict = one(words)?;
    while words.pop_if(|word| *word == "AND").is_some() {
        verdict &= one(words)?;
    }
    Ok(verdict)
}

fn one(words: &mut Vec<&str>) -> Result<bool, String> {
    match words.pop() {
        Some("(") => {
            let verdict = any(words)?;
            words.pop_if(|word| *word == ")").ok_or("no closing bracket")?;
            Ok(verdict)
        }
        Some(")" | "OR" | "AND" | "WITH") | None => Err("a licence is missing".to_owned()),
        Some(name) if words.pop_if(|word| *word == "WITH").is_some() => {
            let exception = words.pop().ok_or("no exception after WITH")?;
            Ok(ALLOWED.contains(&format!("{name} WITH {exception}").as_str()))
        }
        Some(name) => Ok(ALLOWED.contains(&name)),
    }
}

#[test]
fn every_package_has_a_permissive_licence() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).unwrap();
    let refused: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| package.license.as_deref().map(is_allowed) != Some(Ok(true)))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    println!("licences: {} packages, {} not allowed", metadata.packages.len(), refused.len());
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(metadata.packages.len() > 50, "packages are found at all");
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    for (expression, verdict) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only", true),
        ("MIT AND GPL-3.0-only", false),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0-only OR MIT AND ISC", true),
        ("(MIT OR GPL-3.0-only) AND OpenSSL", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", true),
        ("GPL-2.0-only WITH Classpath-exception-2.0", false),
    ] {
        assert_eq!(is_allowed(expression), Ok(verdict), "{expression}");
    }
    for broken in ["", "MIT OR", "(MIT", "MIT)", "MIT ISC", "AND MIT"] {
        assert!(is_allowed(broken).is_err(), "{broken}");
    }
}

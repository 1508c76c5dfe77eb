//! The tree: every source file has its page, stays readable, and says nothing of a machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The package's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files under `src`, sorted.
pub fn source_files() -> Vec<PathBuf> {
    rust_files("src")
}

/// All files of Rust in a folder and below, sorted.
pub fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("source folders can be read") {
            let path = entry.expect("a folder entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Files that git tracks, or nothing outside a checkout.
fn tracked_files() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let Some(listed) = listed.ok().filter(|output| output.status.success()) else { return Vec::new() };
    let names = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    names.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name)).collect()
}

#[test]
fn every_source_file_begins_with_its_page() {
    let without: Vec<_> = source_files()
        .into_iter()
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//!"))
        .collect();
    assert!(without.is_empty(), "no module page at the top of {without:?}");
}

/// Lines before the unit tests.
fn lines(file: &Path) -> usize {
    let source = fs::read_to_string(file).expect("source files can be read");
    source.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
}

#[test]
fn no_source_file_is_longer_than_a_reader_can_hold() {
    const LINES_MAX: usize = 500;
    let mut lengths: Vec<_> = source_files().into_iter().map(|file| (lines(&file), file)).collect();
    lengths.sort();
    let median = lengths[lengths.len() / 2].0;
    let (longest, file) = lengths.last().unwrap();
    println!(
        "source files without their tests: {}, median {median} lines, longest {longest} ({})",
        lengths.len(),
        file.strip_prefix(root()).unwrap().display()
    );
    assert!(*longest <= LINES_MAX, "{} has {longest} lines", file.display());
}

#[test]
fn tracked_files_say_nothing_of_a_machine() {
    let home = std::env::var("HOME").unwrap_or_default();
    let mut traces = vec![root().display().to_string()];
    // In pieces, or this file would find itself.
    traces.extend(["home", "root", "Users"].map(|name| format!("/{name}/")));
    traces.extend((home.len() > 1).then_some(home));
    let mut found = Vec::new();
    for file in tracked_files() {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            if traces.iter().any(|trace| line.contains(trace.as_str())) {
                found.push(format!("{}:{}: {line}", file.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "paths of a machine:\n{}", found.join("\n"));
}

#[test]
fn packages_come_from_the_public_registries_only() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let other: Vec<_> =
        lock.lines().filter(|line| line.starts_with("source = ") && *line != public).collect();
    assert!(other.is_empty(), "{other:?}");
    for file in tracked_files() {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let marks: &[&str] = match name.as_str() {
            "config.toml" => &["replace-with", "[registries", "[source"],
            "pom.xml" | "settings.xml" => &["<repository>", "<mirror>"],
            "pip.conf" | ".npmrc" => &[""],
            _ => continue,
        };
        let text = fs::read_to_string(&file).unwrap();
        let mark = marks.iter().find(|mark| text.contains(**mark));
        assert!(mark.is_none(), "{} names a registry: {mark:?}", file.display());
    }
}

//! `tests/promises.md`: every promise and every known failure has a line, and the tests that it names exist.

use std::{collections::HashSet, fs};

use crate::tree;

/// Names of all functions of the package and its tests.
fn functions() -> HashSet<String> {
    let mut functions = HashSet::new();
    for file in ["src", "tests"].into_iter().flat_map(tree::rust_files) {
        let source = fs::read_to_string(file).expect("source files can be read");
        for behind in source.split("fn ").skip(1) {
            let name: String = behind
                .chars()
                .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
                .collect();
            functions.insert(name);
        }
    }
    functions
}

#[test]
fn every_promise_and_every_known_failure_has_tests_or_a_reason() {
    let page = fs::read_to_string(tree::root().join("tests/promises.md")).expect("the page is there");
    let functions = functions();
    for (heading, lines) in [("## Promises", 12), ("## What goes wrong at Mews", 41)] {
        let table = page.split_once(heading).expect("its heading").1;
        let table = table.split("\n## ").next().unwrap_or_default();
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split('|').map(str::trim).collect())
            .filter(|cells: &Vec<&str>| cells.get(1).is_some_and(|number| number.parse::<u32>().is_ok()))
            .collect();
        let numbers: Vec<_> = rows.iter().map(|row| row[1].parse::<usize>().expect("a number")).collect();
        assert_eq!(numbers, (1..=lines).collect::<Vec<_>>(), "{heading}");
        for row in rows {
            let named = row[3].split('`').skip(1).step_by(2).filter(|name| name.contains('_'));
            let gone: Vec<_> = named.filter(|name| !functions.contains(*name)).collect();
            assert!(
                gone.is_empty() && !row[3].is_empty(),
                "{heading} {}: no test is called {gone:?}",
                row[1]
            );
        }
    }
}

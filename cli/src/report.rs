//! Results, as a table for people and as one JSON object for programs.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

/// Names and values, one a line, without borders.
pub fn table(rows: &[(&str, String)]) -> String {
    let mut table = bare();
    for (name, value) in rows {
        table.add_row([*name, value]);
    }
    trimmed(&table)
}

/// Columns under a header: the first to the left, the others to the right.
pub fn columns<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut table = bare();
    table.add_row(header);
    for row in rows {
        table.add_row(row.clone());
    }
    for i in 1..N {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    trimmed(&table)
}

/// A JSON object, indented.
pub fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// Without the blanks that a table puts at the start and at the ends of lines.
fn trimmed(table: &Table) -> String {
    let lines: Vec<_> =
        table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect();
    lines.join("\n")
}

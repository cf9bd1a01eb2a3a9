//! Settings as text, in one way only.

use toml::{Table, Value};

/// Every setting with its dotted key, sorted by key. Nested tables are taken apart; lists are values.
pub fn flatten(table: &Table) -> Vec<(String, &Value)> {
    fn walk<'a>(prefix: &str, table: &'a Table, out: &mut Vec<(String, &'a Value)>) {
        for (key, value) in table {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                Value::Table(inner) => walk(&key, inner, out),
                _ => out.push((key, value)),
            }
        }
    }
    let mut out = Vec::new();
    walk("", table, &mut out);
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

/// A value: integers in decimal, fractions by the shortest decimal that reads back as the same bits, texts as JSON.
pub fn value(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Integer(n) => n.to_string(),
        // The standard library promises the round trip, and always writes a point or an exponent.
        Value::Float(x) => format!("{x:?}"),
        Value::Boolean(b) => b.to_string(),
        Value::Datetime(d) => quoted(&d.to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(self::value).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let items = flatten(table);
            let items: Vec<_> = items.iter().map(|(key, v)| format!("{key} = {}", self::value(v))).collect();
            format!("{{ {} }}", items.join(", "))
        }
    }
}

/// A text in quotes, escaped as JSON does.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

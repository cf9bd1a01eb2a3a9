//! Facts about this machine. None of them can reach a result.

use serde::Serialize;

/// Data caches as one core sees them, in bytes; None where the system does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Caches {
    /// First level, data.
    pub l1_data: Option<usize>,
    /// Second level.
    pub l2: Option<usize>,
    /// Third level, shared by several cores as a rule.
    pub l3: Option<usize>,
}

impl Caches {
    /// Asks the system; knows an answer on Linux only.
    #[must_use]
    pub fn detect() -> Self {
        let mut caches = Self::default();
        for index in 0..8 {
            let read = |what: &str| {
                let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{what}");
                std::fs::read_to_string(path).map(|text| text.trim().to_owned())
            };
            let (Ok(level), Ok(kind), Ok(size)) = (read("level"), read("type"), read("size")) else { continue };
            match (level.as_str(), kind.as_str()) {
                ("1", "Data" | "Unified") => caches.l1_data = parse_size(&size),
                ("2", "Unified" | "Data") => caches.l2 = parse_size(&size),
                ("3", "Unified" | "Data") => caches.l3 = parse_size(&size),
                _ => {}
            }
        }
        caches
    }
}

/// Reads sizes as the kernel writes them: `48K`, `2M`, `512`.
fn parse_size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

/// The CPU's name, where the system tells it (Linux).
#[must_use]
pub fn cpu_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Bytes of memory that can be had without pushing other programs out, where the system tells it (Linux).
#[must_use]
pub fn available_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok()?.checked_mul(1024)
}

/// Threads that this process may run at once: cores, less what affinity masks and container quotas forbid.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A number of threads for people: `1 thread`, `2 threads`.
#[must_use]
pub fn threads_text(threads: usize) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}

/// The time now, UTC, as `2026-01-31 23:59:59`.
#[must_use]
pub fn now_utc() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    utc_text(since.map_or(0, |time| time.as_secs()))
}

/// Seconds since 1970 in the Gregorian calendar. Years begin in March here, so that the day of a leap year comes last.
fn utc_text(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + carry;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// The largest resident memory of this process so far, in bytes; None where the system does not tell (only Linux does).
#[must_use]
pub fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_767_225_599, "2025-12-31 23:59:59"),
            (1_709_251_200, "2024-03-01 00:00:00"),
        ];
        for (seconds, text) in cases {
            assert_eq!(utc_text(seconds), text);
        }
    }

    #[test]
    fn cache_sizes_are_read_as_the_kernel_writes_them() {
        let cases = [("48K", Some(49152)), ("2M", Some(2 << 20)), ("512", Some(512)), ("12X", None), ("", None)];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }
}

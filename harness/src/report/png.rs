//! Small images as PNG, uncompressed: the same bytes from every version of every library.

use crate::error::{Error, Result};

/// An image of red, green and blue bytes, rows from the top, as a PNG file.
///
/// # Errors
/// [`Error::Defect`] if the bytes are not `width * height * 3`, or the image is empty or larger than a stored block.
pub fn png(width: usize, height: usize, rgb: &[u8]) -> Result<Vec<u8>> {
    // Each row begins with its filter: none.
    let rows: Vec<u8> =
        rgb.chunks(3 * width.max(1)).flat_map(|row| std::iter::once(0).chain(row.iter().copied())).collect();
    let stored = u16::try_from(rows.len()).ok().filter(|_| width * height > 0 && rgb.len() == 3 * width * height);
    let Some(stored) = stored else {
        let what = format!("a picture of {width} by {height} pixels has {} bytes", rgb.len());
        return Err(Error::Defect { what });
    };
    let mut zlib = vec![0x78, 0x01, 1];
    zlib.extend(stored.to_le_bytes());
    zlib.extend((!stored).to_le_bytes());
    zlib.extend(&rows);
    zlib.extend(adler32(&rows).to_be_bytes());

    let mut header = Vec::new();
    header.extend((width as u32).to_be_bytes());
    header.extend((height as u32).to_be_bytes());
    header.extend([8, 2, 0, 0, 0]); // 8 bits of red, green and blue; the only methods that there are
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [(b"IHDR", &header), (b"IDAT", &zlib), (b"IEND", &Vec::new())] {
        let body = [&name[..], data].concat();
        file.extend((data.len() as u32).to_be_bytes());
        file.extend(&body);
        file.extend(crc32(&body).to_be_bytes());
    }
    Ok(file)
}

/// The check sum of PNG's chunks (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| c >> 1 ^ (0xedb8_8320 & (c & 1).wrapping_neg()))
    };
    !bytes.iter().fold(!0, step)
}

/// The check sum of zlib (RFC 1950).
fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (b + a) % 65521)
    });
    b << 16 | a
}

/// Bytes in base 64.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let n = (0..3).fold(0u32, |n, i| n << 8 | u32::from(*chunk.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let digit = DIGITS[(n >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= chunk.len() { digit.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_sums_and_base_64_are_the_published_ones() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        assert_eq!(["", "f", "fo", "foo"].map(|t| base64(t.as_bytes())), ["", "Zg==", "Zm8=", "Zm9v"]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        assert!(png(2, 1, &[0; 6]).is_ok());
        assert!(png(2, 1, &[0; 5]).is_err() && png(0, 0, &[]).is_err() && png(1000, 1000, &[0; 3_000_000]).is_err());
    }
}

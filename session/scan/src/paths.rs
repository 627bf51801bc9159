//! Looking at the paths of requests, for rules.

/// Each character's class: [`OTHER`], or one of those that plain paths have.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const CLASSES: [u8; 256] = {
    let mut classes = [OTHER; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'/' => SLASH,
            b'.' => DOT,
            b'?' => QUESTION_MARK,
            b'-' | b'_' => NAME,
            byte if byte.is_ascii_alphanumeric() => NAME,
            _ => OTHER,
        };
        byte += 1;
    }
    classes
};

const OTHER: u8 = 0;
const NAME: u8 = 1;
const SLASH: u8 = 2;
const DOT: u8 = 3;
const QUESTION_MARK: u8 = 4;

/// Returns the path of a request's target, where that is the same decoded and has no characters but
/// letters, digits, `-`, `_`, `/` and dots within names: nearly every one. Each server reads such a
/// path alike.
#[inline(never)]
pub fn plain_path(target: &[u8]) -> Option<&[u8]> {
    let mut last = QUESTION_MARK;
    let mut end = target.len();
    for (at, byte) in target.iter().enumerate() {
        let class = CLASSES.get(usize::from(*byte)).copied().unwrap_or(OTHER);
        if class != NAME || last == QUESTION_MARK {
            match class {
                SLASH if last == NAME || at == 0 => {}
                DOT if at > 0 => {}
                QUESTION_MARK if at > 0 => {
                    end = at;
                    break;
                }
                _ => return None,
            }
        }
        last = class;
    }
    target.get(..end).filter(|_| last != DOT && end > 0)
}

/// Returns whether a path of one meaning begins otherwise than `own`, without regard to case. What
/// follows a `*` or a character beyond ASCII is not compared, and a slash at the end may be missing.
#[inline(never)]
pub fn begins_otherwise(own: &[u8], path: &[u8]) -> bool {
    // Behind the second letter of a short name of Windows there may be a sum over the long one.
    if path.contains(&b'~') {
        return false;
    }
    for (at, own_byte) in own.iter().enumerate() {
        let Some(byte) = path.get(at) else {
            let may_be_missing = *own_byte == b'*' || !own_byte.is_ascii();
            return !may_be_missing && own.get(at..) != Some(b"/");
        };
        if own_byte == byte && *byte != b'*' && byte.is_ascii() {
            continue;
        }
        // Windows has parts of files behind `:`.
        if *own_byte == b'*' || *byte == b':' || !own_byte.is_ascii() || !byte.is_ascii() {
            return false;
        }
        if !own_byte.eq_ignore_ascii_case(byte) {
            return true;
        }
    }
    false
}

//! Whether QEMU's description of a container makes it a machine: pure.
//!
//! An image must be whole, and itself only: whatever could make QEMU open a second file on the host
//! is refused here, although sessions are started with explicit block graphs anyway.

use super::facts::printable;
use super::{Facts, VIRTUAL_SIZE_MAX};
use crate::model::Format;
use serde::Deserialize;
use serde_json::Value;

/// What is read of `qemu-img info --output=json`; it has much more.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    format: String,
    virtual_size: u64,
    backing_filename: Option<String>,
    full_backing_filename: Option<String>,
    #[serde(default)]
    encrypted: bool,
    format_specific: Option<Specific>,
    #[serde(default)]
    children: Vec<Child>,
}

#[derive(Deserialize)]
struct Specific {
    data: Value,
}

#[derive(Deserialize)]
struct Child {
    name: String,
}

/// How `qemu-img check` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing wrong, or nothing but unused space.
    Whole,
    /// Parts are missing or contradict each other.
    Damaged,
    /// The format has no check.
    Unsupported,
}

impl Check {
    /// By the exit status of qemu-img; 3 means leaked clusters, which harm nobody.
    pub(super) fn from_code(code: Option<i32>) -> Self {
        match code {
            Some(0 | 3) => Self::Whole,
            Some(63) => Self::Unsupported,
            _ => Self::Damaged,
        }
    }
}

/// Judges `info`, which qemu-img printed about the image that it knows as `path`.
pub(super) fn judge(format: Format, info: &str, check: Check, path: &str) -> Result<Facts, String> {
    let info: Info = serde_json::from_str(info).map_err(|e| format!("QEMU's description cannot be read: {e}."))?;
    if info.format != format.driver() {
        return Err(format!("QEMU takes the image for '{}', not {}.", printable(&info.format, 40), format.driver()));
    }
    stands_alone(&info, path)?;
    if info.encrypted {
        return Err("The image is encrypted, and a session has nobody to ask for the key.".into());
    }
    if check == Check::Damaged || specific(&info, "corrupt") == &Value::Bool(true) {
        return Err(
            "The image is damaged or cut short ('qemu-img check' tells more). Download or copy it again.".into()
        );
    }
    if !(1..=VIRTUAL_SIZE_MAX).contains(&info.virtual_size) {
        return Err(format!("The image says that its disk has {} bytes; 1 to 64 TiB are taken.", info.virtual_size));
    }
    Ok(Facts { format, iso: false, virtual_size: info.virtual_size })
}

fn specific<'a>(info: &'a Info, key: &str) -> &'a Value {
    info.format_specific.as_ref().map_or(&Value::Null, |s| &s.data[key])
}

fn stands_alone(info: &Info, path: &str) -> Result<(), String> {
    if let Some(other) = info.backing_filename.as_ref().or(info.full_backing_filename.as_ref()) {
        return Err(needs("is only the difference to another image", other));
    }
    match specific(info, "data-file") {
        Value::Null => {}
        other => return Err(needs("keeps its data in another file", other.as_str().unwrap_or("unnamed"))),
    }
    let extents = specific(info, "extents").as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(other) = extents.iter().map(|e| &e["filename"]).find(|name| name.as_str() != Some(path)) {
        return Err(needs("keeps its data in another file", other.as_str().unwrap_or("unnamed")));
    }
    match info.children.iter().find(|child| child.name != "file") {
        Some(child) => Err(needs("makes QEMU open another file", &child.name)),
        None => Ok(()),
    }
}

fn needs(how: &str, other: &str) -> String {
    // No advice to convert it: that would read the other file, as root, into an image that is offered.
    format!(
        "The image {how} ('{}'), and a machine must be one file: get it in one file from whoever made it.",
        printable(other, 80)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(more: Value) -> String {
        let mut info = json!({"format": "qcow2", "virtual-size": 8_388_608, "filename": "/m/x", "dirty-flag": false});
        info.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        info.to_string()
    }

    fn verdict(more: Value) -> Result<Facts, String> {
        judge(Format::Qcow2, &with(more), Check::Whole, "/m/x")
    }

    #[test]
    fn an_image_of_one_whole_file_passes() {
        let facts = Facts { format: Format::Qcow2, iso: false, virtual_size: 8_388_608 };
        assert_eq!(verdict(json!({})), Ok(facts));
        assert_eq!(verdict(json!({"children": [{"name": "file", "info": {}}]})), Ok(facts));
        let vmdk = with(json!({"format": "vmdk",
            "format-specific": {"data": {"extents": [{"filename": "/m/x"}]}}}));
        assert!(judge(Format::Vmdk, &vmdk, Check::Whole, "/m/x").is_ok());
    }

    #[test]
    fn an_image_that_names_another_file_is_refused() {
        for more in [
            json!({"backing-filename": "/etc/shadow"}),
            json!({"backing-filename": "json:{\"driver\":\"nbd\"}"}),
            json!({"full-backing-filename": "/etc/shadow"}),
            json!({"format-specific": {"data": {"data-file": "/etc/shadow"}}}),
            json!({"format-specific": {"data": {"extents": [{"filename": "/m/x"}, {"filename": "/etc/shadow"}]}}}),
            json!({"format-specific": {"data": {"extents": [{}]}}}),
            json!({"children": [{"name": "file"}, {"name": "data-file"}]}),
        ] {
            let message = verdict(more.clone()).unwrap_err();
            assert!(message.contains("one file"), "{more}: {message}");
        }
    }

    #[test]
    fn damage_encryption_and_absurd_sizes_are_refused() {
        assert!(verdict(json!({"encrypted": true})).unwrap_err().contains("encrypted"));
        assert!(verdict(json!({"virtual-size": 0})).is_err());
        assert!(verdict(json!({"virtual-size": 1_u64 << 50})).unwrap_err().contains("64 TiB"));
        assert!(verdict(json!({"format-specific": {"data": {"corrupt": true}}})).unwrap_err().contains("damaged"));
        assert!(judge(Format::Qcow2, &with(json!({})), Check::Damaged, "/m/x").is_err());
        assert!(judge(Format::Vpc, &with(json!({"format": "vpc"})), Check::Unsupported, "/m/x").is_ok());
    }

    #[test]
    fn qemu_and_we_must_agree_on_the_format() {
        assert!(judge(Format::Qed, &with(json!({})), Check::Whole, "/m/x").is_err());
        assert!(judge(Format::Qcow2, "not json", Check::Whole, "/m/x").is_err());
    }

    #[test]
    fn leaks_are_no_damage() {
        let all = [Some(0), Some(3), Some(2), Some(1), Some(63), None].map(Check::from_code);
        use Check::{Damaged, Unsupported, Whole};
        assert_eq!(all, [Whole, Whole, Damaged, Damaged, Unsupported, Damaged]);
    }
}

//! A `features.toml` is read or refused, and what was read survives both notations it is stored in.
#![no_main]

use clickcast_record::Schema;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(schema) = Schema::from_toml(text) else { return };
    let toml = toml::to_string(&schema).expect("a schema is TOML");
    assert_eq!(Schema::from_toml(&toml).expect("its own TOML is read"), schema);
    let json = serde_json::to_string(&schema).expect("a schema is JSON");
    let read: Schema = serde_json::from_str(&json).expect("its own JSON is read");
    assert_eq!(read, schema);
    assert_eq!(read.hash(), schema.hash());
    assert_eq!(schema, read);
});

//! The columns of a file, and how they are written.

use std::sync::Arc;

use parquet::basic::{
    Compression, ConvertedType, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel,
};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use super::settings::ParquetCompression;

/// How well pages are compressed: what is exported is read seldom and kept long.
const ZSTD_LEVEL: i32 = 3;

/// The columns, in the order in which [`encode`](super::encode) writes them.
pub(super) fn columns() -> Result<TypePtr, ParquetError> {
    let time = Type::primitive_type_builder("time", Physical::INT64)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::NANOS)))
        .build()?;
    let mut fields = vec![Arc::new(time)];
    for name in ["tenant", "service", "level", "line"] {
        fields.push(text(name, Repetition::REQUIRED)?);
    }
    fields.push(bytes("line_bytes", Repetition::OPTIONAL)?);
    fields.push(map("labels", text("value", Repetition::REQUIRED)?)?);
    fields.push(map("metadata", text("value", Repetition::REQUIRED)?)?);
    fields.push(map("metadata_bytes", bytes("value", Repetition::REQUIRED)?)?);
    Ok(Arc::new(Type::group_type_builder("log").with_fields(fields).build()?))
}

fn text(name: &str, repetition: Repetition) -> Result<TypePtr, ParquetError> {
    let builder = Type::primitive_type_builder(name, Physical::BYTE_ARRAY).with_repetition(repetition);
    Ok(Arc::new(builder.with_logical_type(Some(LogicalType::String)).build()?))
}

fn bytes(name: &str, repetition: Repetition) -> Result<TypePtr, ParquetError> {
    Ok(Arc::new(
        Type::primitive_type_builder(name, Physical::BYTE_ARRAY).with_repetition(repetition).build()?,
    ))
}

fn map(name: &str, value: TypePtr) -> Result<TypePtr, ParquetError> {
    let pairs = Type::group_type_builder("key_value")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![text("key", Repetition::REQUIRED)?, value])
        .build()?;
    let map = Type::group_type_builder(name)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::Map))
        .with_converted_type(ConvertedType::MAP)
        .with_fields(vec![Arc::new(pairs)])
        .build()?;
    Ok(Arc::new(map))
}

/// How pages are written.
pub(super) fn properties(compression: ParquetCompression) -> Result<WriterProperties, ParquetError> {
    let compression = match compression {
        ParquetCompression::None => Compression::UNCOMPRESSED,
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?),
    };
    let line = || ColumnPath::from("line");
    Ok(WriterProperties::builder()
        .set_created_by("timberyard".to_owned())
        .set_compression(compression)
        .set_column_dictionary_enabled(ColumnPath::from("time"), false)
        .set_column_encoding(ColumnPath::from("time"), Encoding::DELTA_BINARY_PACKED)
        .set_column_dictionary_enabled(line(), false)
        .set_column_statistics_enabled(line(), EnabledStatistics::None)
        .build())
}

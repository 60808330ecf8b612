//! Streamed writes of objects that appear when they are finished.

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};

use crate::local::Staged;
use crate::{Error, Store};

/// Bytes of one part of an upload: above S3's least (5 MiB); 10,000 parts make 80 GB.
const PART_BYTES: usize = 8 << 20;

/// An object on its way. Dropped before it is finished, it never was.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    key: String,
    form: Form,
    bytes: u64,
}

#[derive(Debug)]
enum Form {
    /// Nothing was written yet.
    Untouched,
    Local(Staged),
    /// Less than a part so far: perhaps one put is enough.
    Buffered(Vec<u8>),
    Parts {
        upload: Box<dyn MultipartUpload>,
        buffer: Vec<u8>,
    },
}

impl Writer {
    pub(crate) fn new(store: Store, key: &str) -> Self {
        Self { store, key: key.to_owned(), form: Form::Untouched, bytes: 0 }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// Where the store can't take them.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let uri = self.store.uri(&self.key);
        self.bytes += bytes.len() as u64;
        self.begin()?;
        match &mut self.form {
            Form::Untouched => {}
            Form::Local(staged) => staged.write(&bytes).map_err(|error| Error::io("write", &uri, error))?,
            Form::Buffered(buffer) | Form::Parts { buffer, .. } => buffer.extend_from_slice(&bytes),
        }
        if let Form::Buffered(buffer) = &mut self.form
            && buffer.len() >= PART_BYTES
        {
            let buffer = std::mem::take(buffer);
            let upload = self.store.objects.put_multipart(&self.store.place.path(&self.key)?).await;
            let upload = upload.map_err(|error| Error::new("write", &uri, error))?;
            self.form = Form::Parts { upload, buffer };
        }
        if let Form::Parts { upload, buffer } = &mut self.form {
            while buffer.len() >= PART_BYTES {
                let rest = buffer.split_off(PART_BYTES);
                let part = PutPayload::from(std::mem::replace(buffer, rest));
                upload.put_part(part).await.map_err(|error| Error::new("write", &uri, error))?;
            }
        }
        Ok(())
    }

    /// Makes the object appear, in the place of any older one; its length in bytes.
    ///
    /// # Errors
    /// Where the store can't take it; then nothing has changed under its name.
    pub async fn finish(mut self) -> Result<u64, Error> {
        let uri = self.store.uri(&self.key);
        self.begin()?;
        match std::mem::replace(&mut self.form, Form::Untouched) {
            Form::Untouched => {}
            Form::Local(staged) => staged.finish().map_err(|error| Error::io("write", &uri, error))?,
            Form::Buffered(buffer) => self.store.put(&self.key, buffer.into()).await?,
            Form::Parts { mut upload, buffer } => {
                let whole = async {
                    if !buffer.is_empty() {
                        upload.put_part(buffer.into()).await?;
                    }
                    upload.complete().await
                };
                if let Err(error) = whole.await {
                    // The parts cost money until they are given up; failing to is not the failure to report.
                    let _ = upload.abort().await;
                    return Err(Error::new("write", &uri, error));
                }
            }
        }
        Ok(self.bytes)
    }

    fn begin(&mut self) -> Result<(), Error> {
        if matches!(self.form, Form::Untouched) {
            self.form = match self.store.local_path(&self.key) {
                Some(path) => {
                    let staged = Staged::create(path);
                    Form::Local(staged.map_err(|error| Error::io("write", &self.store.uri(&self.key), error))?)
                }
                None => Form::Buffered(Vec::new()),
            };
        }
        Ok(())
    }
}

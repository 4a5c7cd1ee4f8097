package rampstream.bench;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.apache.avro.Schema;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.avro.specific.SpecificRecord;

/**
 * Avro in Confluent's framing: a zero byte, the registry's id, the body. It keeps its buffers and is for one thread.
 * An id other than the expected one is refused: the benchmark has one writer.
 */
final class Framed<T extends SpecificRecord> {
  private final int id;
  private final SpecificDatumReader<T> reader;
  private final SpecificDatumWriter<T> writer;
  private final Buffer out = new Buffer();
  private BinaryDecoder decoder;
  private BinaryEncoder encoder;

  Framed(int id, Schema schema, SpecificData model) {
    this.id = id;
    this.reader = new SpecificDatumReader<>(schema, schema, model);
    this.writer = new SpecificDatumWriter<>(schema, model);
  }

  /** Reads a value; reuse, and the texts in it, may be overwritten and returned. */
  T read(byte[] value, T reuse) {
    if (value.length < 5 || value[0] != 0 || ByteBuffer.wrap(value, 1, 4).getInt() != id) {
      throw new IllegalArgumentException("not a value of schema " + id);
    }
    decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, decoder);
    try {
      return reader.read(reuse, decoder);
    } catch (IOException e) {
      throw new IllegalArgumentException("cannot be decoded", e);
    }
  }

  byte[] write(T value) {
    out.reset();
    out.write(0);
    out.write(id >>> 24);
    out.write(id >>> 16);
    out.write(id >>> 8);
    out.write(id);
    encoder = EncoderFactory.get().binaryEncoder(out, encoder);
    try {
      writer.write(value, encoder);
      encoder.flush();
    } catch (IOException e) {
      throw new IllegalStateException("cannot be encoded", e);
    }
    return out.toByteArray();
  }

  /** A buffer whose writes are not synchronised. */
  private static final class Buffer extends ByteArrayOutputStream {
    Buffer() {
      super(4096);
    }

    @Override
    public void write(int b) {
      if (count == buf.length) {
        buf = java.util.Arrays.copyOf(buf, 2 * count);
      }
      buf[count++] = (byte) b;
    }
  }

  /** The first 16 bytes of SHA-256, in hexadecimal. */
  static String digest(MessageDigest sha, byte[]... parts) {
    sha.reset();
    for (byte[] p : parts) {
      sha.update(p);
    }
    return HexFormat.of().formatHex(sha.digest(), 0, 16);
  }

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}

package rampstream.bench;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import rampstream.v1.OrderEvidence;
import rampstream.v1.OrderState;
import rampstream.v1.StatusCheck;
import rampstream.v1.Webhook;

/** The stated facts, from record to record. */
final class Facts {
  private Facts() {}

  static void clear(OrderState st) {
    st.setFiatAmount(null);
    st.setFiatCurrency(null);
    st.setCryptoAmount(null);
    st.setCryptoAsset(null);
    st.setCryptoNetwork(null);
    st.setSide(null);
    st.setTxHash(null);
    st.setCustomerId(null);
    st.setExternalId(null);
    st.setStatusInData(null);
    st.setFundsTaken(null);
    st.setProviderCreatedAt(null);
    st.setWalletId(null);
  }

  /** Takes what st does not have yet; an amount and its currency come from one row. */
  static void fill(OrderState st, OrderEvidence e) {
    if (st.getFiatAmount() == null && st.getFiatCurrency() == null) {
      st.setFiatAmount(e.getFiatAmount());
      st.setFiatCurrency(e.getFiatCurrency());
    }
    if (st.getCryptoAmount() == null && st.getCryptoAsset() == null) {
      st.setCryptoAmount(e.getCryptoAmount());
      st.setCryptoAsset(e.getCryptoAsset());
    }
    if (st.getCryptoNetwork() == null) {
      st.setCryptoNetwork(e.getCryptoNetwork());
    }
    if (st.getSide() == null) {
      st.setSide(e.getSide());
    }
    if (st.getTxHash() == null) {
      st.setTxHash(e.getTxHash());
    }
    if (st.getCustomerId() == null) {
      st.setCustomerId(e.getCustomerId());
    }
    if (st.getExternalId() == null) {
      st.setExternalId(e.getExternalId());
    }
    if (st.getStatusInData() == null) {
      st.setStatusInData(e.getStatusInData());
    }
    if (st.getFundsTaken() == null) {
      st.setFundsTaken(e.getFundsTaken());
    }
    if (st.getProviderCreatedAt() == null) {
      st.setProviderCreatedAt(e.getProviderCreatedAt());
    }
    if (st.getWalletId() == null) {
      st.setWalletId(e.getWalletId());
    }
  }

  static void take(OrderEvidence e, Webhook w) {
    e.setFiatAmount(w.getFiatAmount());
    e.setFiatCurrency(w.getFiatCurrency());
    e.setCryptoAmount(w.getCryptoAmount());
    e.setCryptoAsset(w.getCryptoAsset());
    e.setCryptoNetwork(w.getCryptoNetwork());
    e.setSide(w.getSide());
    e.setTxHash(w.getTxHash());
    e.setCustomerId(w.getCustomerId());
    e.setExternalId(w.getExternalId());
    e.setStatusInData(w.getStatusInData());
    e.setFundsTaken(w.getFundsTaken());
    e.setProviderCreatedAt(w.getProviderCreatedAt());
    e.setWalletId(w.getWalletId());
    e.setKycLevel(w.getKycLevel());
    e.setDocsUploaded(w.getDocsUploaded());
    e.setVerificationStatus(w.getVerificationStatus());
    e.setWalletStatus(w.getWalletStatus());
  }

  static void take(OrderEvidence e, StatusCheck c) {
    e.setFiatAmount(c.getFiatAmount());
    e.setFiatCurrency(c.getFiatCurrency());
    e.setCryptoAmount(c.getCryptoAmount());
    e.setCryptoAsset(c.getCryptoAsset());
    e.setCryptoNetwork(c.getCryptoNetwork());
    e.setSide(c.getSide());
    e.setTxHash(c.getTxHash());
    e.setCustomerId(c.getCustomerId());
    e.setExternalId(c.getExternalId());
    e.setStatusInData(c.getStatusInData());
    e.setFundsTaken(c.getFundsTaken());
    e.setProviderCreatedAt(c.getProviderCreatedAt());
    e.setWalletId(c.getWalletId());
    e.setKycLevel(c.getKycLevel());
    e.setDocsUploaded(c.getDocsUploaded());
    e.setVerificationStatus(c.getVerificationStatus());
    e.setWalletStatus(c.getWalletStatus());
  }

  /** A content hash of the facts of a webhook. */
  static String digest(MessageDigest sha, Webhook w) {
    sha.reset();
    add(sha, w.getFiatAmount());
    add(sha, w.getFiatCurrency());
    add(sha, w.getCryptoAmount());
    add(sha, w.getCryptoAsset());
    add(sha, w.getCryptoNetwork());
    add(sha, w.getSide());
    add(sha, w.getTxHash());
    add(sha, w.getCustomerId());
    add(sha, w.getExternalId());
    add(sha, w.getStatusInData());
    add(sha, w.getFundsTaken());
    add(sha, w.getProviderCreatedAt());
    add(sha, w.getWalletId());
    add(sha, w.getKycLevel());
    add(sha, w.getDocsUploaded());
    add(sha, w.getVerificationStatus());
    add(sha, w.getWalletStatus());
    return java.util.HexFormat.of().formatHex(sha.digest(), 0, 16);
  }

  private static void add(MessageDigest sha, Object fact) {
    if (fact instanceof org.apache.avro.util.Utf8 u) {
      sha.update(u.getBytes(), 0, u.getByteLength());
    } else if (fact != null) {
      sha.update(fact.toString().getBytes(StandardCharsets.UTF_8));
    }
    sha.update((byte) 0);
  }
}

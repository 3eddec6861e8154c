package org.crowdpulse.flink.elasticsearch;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.Certificate;
import java.security.cert.CertPathValidator;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import javax.net.ssl.HostnameVerifier;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import org.apache.http.conn.ssl.DefaultHostnameVerifier;
import org.apache.http.impl.nio.client.HttpAsyncClientBuilder;

/** Whom to trust: the authorities of a PEM file, a certificate known by its fingerprint, or Java's authorities. */
final class Certificates {

    private Certificates() {}

    static void configure(HttpAsyncClientBuilder http, SinkConfig config) {
        try {
            if (config.fingerprint() != null) {
                http.setSSLContext(context(new PinnedCertificate(config.fingerprint())));
                http.setSSLHostnameVerifier(anyNameOfPinned(config.fingerprint()));
            } else if (config.certificateAuthorities() != null) {
                http.setSSLContext(context(authorities(parse(config.certificateAuthorities()))));
            }
        } catch (GeneralSecurityException | IOException e) {
            throw new IllegalStateException("TLS cannot be set up: " + e.getMessage(), e);
        }
    }

    /** Reads one or more PEM certificates; fails if there is none. */
    static Collection<? extends Certificate> parse(byte[] pem) throws CertificateException {
        Collection<? extends Certificate> certificates =
                CertificateFactory.getInstance("X.509").generateCertificates(new ByteArrayInputStream(pem));
        if (certificates.isEmpty()) {
            throw new CertificateException("there is no certificate in it");
        }
        return certificates;
    }

    private static SSLContext context(TrustManager... trust) throws GeneralSecurityException {
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust, null);
        return context;
    }

    private static TrustManager[] authorities(Collection<? extends Certificate> certificates)
            throws GeneralSecurityException, IOException {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        int i = 0;
        for (Certificate certificate : certificates) {
            store.setCertificateEntry("ca" + i++, certificate);
        }
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return factory.getTrustManagers();
    }

    /** A server that shows the very certificate of the fingerprint may have any name; others are checked as usual. */
    private static HostnameVerifier anyNameOfPinned(byte[] fingerprint) {
        HostnameVerifier usual = new DefaultHostnameVerifier();
        return (name, session) -> {
            try {
                return matches(session.getPeerCertificates()[0], fingerprint) || usual.verify(name, session);
            } catch (SSLException | CertificateException e) {
                return false;
            }
        };
    }

    private static boolean matches(Certificate certificate, byte[] fingerprint) throws CertificateException {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(certificate.getEncoded());
            return MessageDigest.isEqual(digest, fingerprint);
        } catch (GeneralSecurityException e) {
            throw new CertificateException(e);
        }
    }

    /** Trusts the certificate of a fingerprint, and what it has signed. */
    private record PinnedCertificate(byte[] fingerprint) implements X509TrustManager {

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType) throws CertificateException {
            for (int i = 0; i < chain.length; i++) {
                if (matches(chain[i], fingerprint)) {
                    chain[i].checkValidity();
                    if (i > 0) {
                        checkSignedBy(chain[i], Arrays.asList(chain).subList(0, i));
                    }
                    return;
                }
            }
            throw new CertificateException(
                    "no certificate of the server has the fingerprint of 'ssl.certificate-fingerprint'");
        }

        private static void checkSignedBy(X509Certificate anchor, List<X509Certificate> path)
                throws CertificateException {
            try {
                PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(anchor, null)));
                parameters.setRevocationEnabled(false);
                CertPathValidator.getInstance("PKIX")
                        .validate(CertificateFactory.getInstance("X.509").generateCertPath(path), parameters);
            } catch (GeneralSecurityException e) {
                throw new CertificateException(e);
            }
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType) throws CertificateException {
            throw new CertificateException("this is a client");
        }

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}

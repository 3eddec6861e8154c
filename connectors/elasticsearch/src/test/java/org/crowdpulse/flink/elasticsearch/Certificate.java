package org.crowdpulse.flink.elasticsearch;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * A certificate made for a test by Java's keytool: an authority, and a server's certificate that it has signed.
 *
 * @param pem the authority
 * @param store PKCS#12 file of the server's key with its chain, password {@link #PASSWORD}
 * @param authorityFingerprint SHA-256 in hexadecimal
 * @param serverFingerprint SHA-256 in hexadecimal
 */
record Certificate(Path pem, Path store, String authorityFingerprint, String serverFingerprint) {

    static final String PASSWORD = "changeit";

    /** Makes them in a directory, for a server of some name. */
    static Certificate make(Path directory, String name) throws Exception {
        Path authority = directory.resolve("authority.p12");
        Path server = directory.resolve("server.p12");
        Path request = directory.resolve("request");
        Path signed = directory.resolve("signed.pem");
        Path pem = directory.resolve("authority.pem");
        keytool(authority, "-genkeypair", "-alias", "ca", "-dname", "CN=Test authority", "-ext", "bc:c", "-keyalg",
                "RSA");
        keytool(authority, "-exportcert", "-rfc", "-alias", "ca", "-file", pem.toString());
        keytool(server, "-genkeypair", "-alias", "server", "-dname", "CN=" + name, "-keyalg", "RSA");
        keytool(server, "-certreq", "-alias", "server", "-file", request.toString());
        keytool(authority, "-gencert", "-rfc", "-alias", "ca", "-infile", request.toString(), "-outfile",
                signed.toString(), "-ext", "san=dns:" + name);
        keytool(server, "-importcert", "-noprompt", "-alias", "ca", "-file", pem.toString());
        keytool(server, "-importcert", "-noprompt", "-alias", "server", "-file", signed.toString());
        KeyStore keys = KeyStore.getInstance(server.toFile(), PASSWORD.toCharArray());
        return new Certificate(
                pem, server, fingerprint(keys.getCertificate("ca")), fingerprint(keys.getCertificate("server")));
    }

    /** Writes key and chain of the server as PEM, as Elasticsearch reads them. */
    void writePem(Path key, Path chain) throws Exception {
        KeyStore keys = KeyStore.getInstance(store.toFile(), PASSWORD.toCharArray());
        Files.writeString(key, pem("PRIVATE KEY", keys.getKey("server", PASSWORD.toCharArray()).getEncoded()));
        StringBuilder text = new StringBuilder();
        for (java.security.cert.Certificate certificate : keys.getCertificateChain("server")) {
            text.append(pem("CERTIFICATE", certificate.getEncoded()));
        }
        Files.writeString(chain, text);
    }

    /** TLS that trusts the authority. */
    SSLContext trusting() throws Exception {
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(KeyStore.getInstance(store.toFile(), PASSWORD.toCharArray()));
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    private static String pem(String kind, byte[] der) {
        return "-----BEGIN " + kind + "-----\n" + Base64.getMimeEncoder().encodeToString(der) + "\n-----END " + kind
                + "-----\n";
    }

    private static String fingerprint(java.security.cert.Certificate certificate) throws Exception {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(certificate.getEncoded());
        return HexFormat.ofDelimiter(":").withUpperCase().formatHex(digest);
    }

    private static void keytool(Path store, String... arguments) throws IOException, InterruptedException {
        List<String> command = new java.util.ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-keystore", store.toString(), "-storetype", "PKCS12", "-storepass", PASSWORD));
        command.addAll(1, List.of(arguments));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        if (process.waitFor() != 0) {
            throw new IOException(command + ": " + output);
        }
    }
}

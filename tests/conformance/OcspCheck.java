// Validates a certificate under a CA with Java's PKIXRevocationChecker: java OcspCheck.java CA.pem LEAF.pem URL
import java.io.FileInputStream;
import java.net.URI;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

public class OcspCheck {
    public static void main(String[] arguments) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        X509Certificate ca, leaf;
        try (FileInputStream in = new FileInputStream(arguments[0])) {
            ca = (X509Certificate) factory.generateCertificate(in);
        }
        try (FileInputStream in = new FileInputStream(arguments[1])) {
            leaf = (X509Certificate) factory.generateCertificate(in);
        }
        CertPathValidator validator = CertPathValidator.getInstance("PKIX");
        PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        checker.setOcspResponder(new URI(arguments[2]));
        checker.setOptions(EnumSet.of(PKIXRevocationChecker.Option.NO_FALLBACK));
        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(ca, null)));
        parameters.addCertPathChecker(checker);
        try {
            validator.validate(factory.generateCertPath(List.of(leaf)), parameters);
            System.out.println("GOOD");
        } catch (CertPathValidatorException refused) {
            System.out.println(refused.getReason() + " " + refused.getMessage());
        }
    }
}

package org.crowdpulse.elasticsearch;

import java.io.IOException;
import java.util.List;
import java.util.regex.Pattern;
import org.apache.lucene.analysis.CharArraySet;
import org.apache.lucene.analysis.FilteringTokenFilter;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.Tokenizer;
import org.apache.lucene.analysis.email.UAX29URLEmailTokenizer;
import org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;
import org.elasticsearch.plugin.Inject;
import org.elasticsearch.plugin.NamedComponent;
import org.elasticsearch.plugin.analysis.TokenFilterFactory;
import org.elasticsearch.plugin.analysis.TokenizerFactory;
import org.elasticsearch.plugin.settings.AnalysisSettings;
import org.elasticsearch.plugin.settings.BooleanSetting;
import org.elasticsearch.plugin.settings.ListSetting;

/**
 * What Elasticsearch's own index of roles and API keys asks for and its distribution on Maven lacks.
 *
 * <p>That index splits e-mail addresses with a tokenizer and two filters of the module analysis-common, which is part of
 * every full Elasticsearch, but not of this one: without them it refuses every role and every key. They are the same
 * ones of Lucene, under the names by which the index calls them.
 */
public final class EmailAnalysis {

    private EmailAnalysis() {}

    /** Words, addresses and e-mail addresses as they stand. */
    @NamedComponent("uax_url_email")
    public static final class EmailTokenizer implements TokenizerFactory {

        @Override
        public Tokenizer create() {
            return new UAX29URLEmailTokenizer();
        }
    }

    /** The options of {@link PatternCapture}. */
    @AnalysisSettings
    public interface PatternCaptureSettings {

        /** Each group of these becomes a token. */
        @ListSetting(path = "patterns")
        List<String> patterns();

        /** Whether the whole stays a token too. */
        @BooleanSetting(path = "preserve_original", defaultValue = true)
        boolean preserveOriginal();
    }

    /** The parts of a token that patterns capture. */
    @NamedComponent("pattern_capture")
    public static final class PatternCapture implements TokenFilterFactory {

        private final boolean preserveOriginal;
        private final Pattern[] patterns;

        @Inject
        public PatternCapture(PatternCaptureSettings settings) {
            this.preserveOriginal = settings.preserveOriginal();
            this.patterns = settings.patterns().stream().map(Pattern::compile).toArray(Pattern[]::new);
        }

        @Override
        public TokenStream create(TokenStream tokens) {
            return new PatternCaptureGroupTokenFilter(tokens, preserveOriginal, patterns);
        }
    }

    /** Each token once. */
    @NamedComponent("unique")
    public static final class Unique implements TokenFilterFactory {

        @Override
        public TokenStream create(TokenStream tokens) {
            return new UniqueTokens(tokens);
        }
    }

    private static final class UniqueTokens extends FilteringTokenFilter {

        private final CharTermAttribute term = addAttribute(CharTermAttribute.class);
        private final CharArraySet seen = new CharArraySet(8, false);

        UniqueTokens(TokenStream tokens) {
            super(tokens);
        }

        @Override
        protected boolean accept() {
            return seen.add(term.toString());
        }

        @Override
        public void reset() throws IOException {
            super.reset();
            seen.clear();
        }
    }
}

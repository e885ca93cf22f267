-- What was found out about the claim of From: `proven`, `nothing-known` or `failed`. Empty: nothing yet, or the DNS did not
-- answer. A later attempt uses it again, so that neither a change in the DNS nor its failure can change a decision that is
-- carried out already. authentication_domain and authentication_reason belong to it.
ALTER TABLE messages ADD COLUMN authentication TEXT NOT NULL DEFAULT '';

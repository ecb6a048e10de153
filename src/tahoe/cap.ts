// Capability strings: parsed, printed, attenuated. A Cap does not print itself by
// accident: only uri() gives the secret text.

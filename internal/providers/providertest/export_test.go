package providertest

// Incomplete is what complete reports.
var Incomplete = incomplete

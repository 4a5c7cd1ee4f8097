package httpx

// CheckAddress lets tests ask about addresses that nobody can dial.
var CheckAddress = checkAddress

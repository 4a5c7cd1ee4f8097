package kado

import "rampstream/internal/providers"

// listed are the members of a delivery that the document or its public clients
// have: the envelope, the order, and what stands in its parts.
var listed = providers.Listed(
	"id", "resource", "type", "data", "message",
	"_id", "orderId", "orderType", "originOfOrder", "userRef", "anchorTransactionId", "createdAt", "method", "to", "from", "exchangeRate",
	"currencyType", "walletAddress", "depositAddress", "sendFrom", "sendTo", "asset", "assetSymbol", "blockchain", "txHash",
	"allPossibleTxHashes", "humanStatusField", "machineStatusField", "providerDisbursementStatus", "paymentStatus", "transferStatus",
	"manualDepositWalletAddress", "manualDepositMemo", "quote", "payAmount", "recvAmount", "totalFee", "processingFee", "bridgeFee",
	"smartContractFees", "gasFee", "cryptoCurrency", "chain", "settlementTimeInSeconds",
	"amount", "unit", "price", "symbol", "currency", "originalAmount", "promotionModifier", "address", "isNative", "decimals", "network", "origin",
)

// UnlistedFields implements providers.FieldWatcher.
func (p *parser) UnlistedFields(body []byte) []string { return providers.UnlistedFields(body, listed) }

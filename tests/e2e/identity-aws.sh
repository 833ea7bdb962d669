#!/bin/sh
# Each way to sign in to AWS, in the order of the AWS SDKs; -v says which one was taken. Endpoints, region, CA and a wrong clock.
. tests/e2e/lib
command -v python3 >/dev/null || { echo "needs python3, for a container's credentials"; exit 77; }

ROLE=arn:aws:iam::123456789012:role/fixfleet
cloud_scenario aws '{"external_id":"ext-1","web_identity_token":"eyJ.abc.xyz","session_seconds":3600}' '[]' "$(aws_win a-1 '')" "$(aws_rescue rescue-a)"
sim_start "$T/scenario.json" "$T/cloud" --imds 127.0.0.1:0
key=$AWS_ACCESS_KEY_ID secret=$AWS_SECRET_ACCESS_KEY
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
imds=$AWS_EC2_METADATA_SERVICE_ENDPOINT
export AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE="$T/config" AWS_SHARED_CREDENTIALS_FILE="$T/credentials"
list="list --provider aws --region us-east-1 -v"

# keys that end, from the metadata service
token=$(curl -sS -X PUT -H 'x-aws-ec2-metadata-token-ttl-seconds: 60' "$imds/latest/api/token")
curl -sS -H "x-aws-ec2-metadata-token: $token" "$imds/latest/meta-data/iam/security-credentials/fixfleet" >"$T/session.json"
jq '{Version:1, AccessKeyId, SecretAccessKey, SessionToken:.Token, Expiration}' "$T/session.json" >"$T/process.json"
printf '%s' eyJ.abc.xyz >"$T/web-token"
printf wrong-token >"$T/wrong-token"

cat >"$T/config" <<END
[default]
region = us-east-1
[profile process]
credential_process = "$T/give keys" --quietly
[profile static]
aws_access_key_id = $key
aws_secret_access_key = $secret
region = us-east-1
[profile ops]
role_arn = $ROLE
source_profile = base
external_id = ext-1
[profile stranger]
role_arn = $ROLE
source_profile = base
[profile from-env]
role_arn = $ROLE
external_id = ext-1
credential_source = Environment
[profile circle]
role_arn = $ROLE
source_profile = circle-2
[profile circle-2]
role_arn = $ROLE
source_profile = circle
[profile web]
role_arn = $ROLE
web_identity_token_file = $T/web-token
END
cat >"$T/credentials" <<END
[base]
aws_access_key_id = $key
aws_secret_access_key = $secret
END
printf '#!/bin/sh\n[ "$1" = --quietly ] && cat "%s/process.json"\n' "$T" >"$T/give keys"
chmod +x "$T/give keys"

# nothing configured: every source that was tried is named
expect 3 "$FIXFLEET" $list; said "environment"; said "profile 'default'"; said "container"; said "instance metadata"
# environment first; then the profile that is named; --profile goes before the environment
export AWS_ACCESS_KEY_ID="$key" AWS_SECRET_ACCESS_KEY="$secret"
expect 0 "$FIXFLEET" $list; said "signed in with environment"
expect 0 env AWS_PROFILE=ops "$FIXFLEET" $list; said "signed in with environment"
expect 0 "$FIXFLEET" $list --profile ops; said "role '$ROLE' of profile 'ops'"
expect 0 "$FIXFLEET" $list --profile from-env; said "role '$ROLE' of profile 'from-env', from environment"
expect 3 env AWS_SECRET_ACCESS_KEY=wrong "$FIXFLEET" list --provider aws --region us-east-1; said "SignatureDoesNotMatch"
! grep -q "wrong" "$T/err" || fail "the secret is printed"
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
# a session token in the environment; one that does not belong to the key
expect 0 env AWS_ACCESS_KEY_ID="$(jq -r .AccessKeyId "$T/session.json")" AWS_SECRET_ACCESS_KEY="$(jq -r .SecretAccessKey "$T/session.json")" \
	AWS_SESSION_TOKEN="$(jq -r .Token "$T/session.json")" "$FIXFLEET" $list
said "signed in with environment"
# profiles
expect 0 env AWS_PROFILE=process "$FIXFLEET" $list; said "credential_process of profile 'process'"
expect 0 "$FIXFLEET" list --provider aws --profile static -v; said "keys in the config file of profile 'static'"
expect 0 "$FIXFLEET" $list --profile base; said "keys in the credentials file of profile 'base'"
expect 3 "$FIXFLEET" $list --profile stranger; said "sts:AssumeRole"
expect 3 "$FIXFLEET" $list --profile circle; said "circle"
expect 3 "$FIXFLEET" $list --profile nosuch; said "profile 'nosuch'"
# web identity
expect 0 env AWS_WEB_IDENTITY_TOKEN_FILE="$T/web-token" AWS_ROLE_ARN=$ROLE "$FIXFLEET" $list; said "web identity (AWS_WEB_IDENTITY_TOKEN_FILE)"
expect 0 "$FIXFLEET" $list --profile web; said "web identity of profile 'web'"
expect 3 env AWS_WEB_IDENTITY_TOKEN_FILE="$T/wrong-token" AWS_ROLE_ARN=$ROLE "$FIXFLEET" $list; said "InvalidIdentityToken"
expect 3 env AWS_WEB_IDENTITY_TOKEN_FILE="$T/nothing" AWS_ROLE_ARN=$ROLE "$FIXFLEET" $list; said "$T/nothing"
expect 3 env AWS_WEB_IDENTITY_TOKEN_FILE="$T/web-token" "$FIXFLEET" $list; said "AWS_ROLE_ARN"
# a container's endpoint, which wants its token
serve /creds Authorization pod-token "$T/session.json"
export AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:$port/creds"
printf pod-token >"$T/pod-token"
expect 0 env AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="$T/pod-token" "$FIXFLEET" $list; said "signed in with container"
expect 3 env AWS_CONTAINER_AUTHORIZATION_TOKEN=other "$FIXFLEET" $list; said "403"
expect 3 env AWS_CONTAINER_CREDENTIALS_FULL_URI=http://192.0.2.1/creds "$FIXFLEET" $list; said "must be https"
unset AWS_CONTAINER_CREDENTIALS_FULL_URI
# the metadata service, which knows the region too
unset AWS_EC2_METADATA_DISABLED
mv "$T/config" "$T/config.away"
expect 0 "$FIXFLEET" list --provider aws -v; said "signed in with instance metadata"; grep -q us-east-1 "$T/out" || fail "the region of the metadata service"
export AWS_EC2_METADATA_DISABLED=true AWS_ACCESS_KEY_ID="$key" AWS_SECRET_ACCESS_KEY="$secret"
mv "$T/config.away" "$T/config"

# region: option, AWS_REGION, AWS_DEFAULT_REGION, config, in that order
for set in AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 "AWS_REGION=us-east-1 AWS_DEFAULT_REGION=nowhere" ""; do
	expect 0 env $set "$FIXFLEET" list --provider aws --output json
	json "$T/out" '.[0].scope == "us-east-1"' "the region by '$set'"
done
# endpoints: a service's own goes before that of all
expect 0 env AWS_ENDPOINT_URL=https://127.0.0.1:9 AWS_ENDPOINT_URL_EC2="$SIM_URL" AWS_ENDPOINT_URL_STS="$SIM_URL" \
	AWS_ENDPOINT_URL_AUTO_SCALING="$SIM_URL" "$FIXFLEET" $list
expect 2 env AWS_ENDPOINT_URL_EC2=http://ec2.example.com "$FIXFLEET" list --provider aws; said "plain http"
# the CA
unset CURL_CA_BUNDLE SSL_CERT_FILE
expect 0 env AWS_CA_BUNDLE="$SIM_CA" "$FIXFLEET" $list
expect 3 env -u AWS_CA_BUNDLE "$FIXFLEET" list --provider aws; said "certificate"
export AWS_CA_BUNDLE="$SIM_CA"
sim_stop

# a clock that is a quarter of an hour wrong is recognised and corrected, for STS and for EC2; a wrong secret is no wrong clock
cloud_scenario aws '{"clock_skew_s":900,"external_id":"ext-1"}' '[]' "$(aws_win a-1 '')" "$(aws_rescue rescue-a)"
sim_start "$T/scenario.json" "$T/cloud"
expect 0 "$FIXFLEET" $list
expect 0 "$FIXFLEET" $list --profile ops
expect 3 env AWS_SECRET_ACCESS_KEY=wrong "$FIXFLEET" list --provider aws; said "SignatureDoesNotMatch"
no_violations

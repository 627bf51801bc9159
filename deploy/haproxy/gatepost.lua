-- Asks Gatepost's outpost about a request: /etc/haproxy/gatepost.lua
--
--   http-request lua.gatepost http://127.0.0.1:9000   lets the request go on, or answers it
--   http-response lua.gatepost-cookies                hands a renewed session to the browser

-- Headers that belong to one connection, or that only a proxy may set.
local dropped = {
    ["connection"] = true,
    ["content-length"] = true,
    ["expect"] = true,
    ["host"] = true,
    ["keep-alive"] = true,
    ["te"] = true,
    ["trailer"] = true,
    ["transfer-encoding"] = true,
    ["upgrade"] = true,
    ["x-forwarded-for"] = true,
    ["x-forwarded-host"] = true,
    ["x-forwarded-method"] = true,
    ["x-forwarded-proto"] = true,
    ["x-forwarded-uri"] = true,
}

-- The outpost's identity headers; `cookie` comes back without Gatepost's own. A name that the
-- answer lacks is removed from the request.
local identity = {
    "x-auth-username",
    "x-auth-groups",
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-forwarded-groups",
    "cookie",
    -- Identity headers of other systems, which the outpost never sets.
    "x-forwarded-access-token",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "x-auth-request-access-token",
    "x-auth-request-redirect",
    "remote-user",
    "remote-groups",
    "remote-email",
    "remote-name",
    "x-remote-user",
    "x-webauth-user",
    "x-remote-group",
    "x-webauth-email",
    "x-authentik-username",
    "x-authentik-groups",
    "x-authentik-email",
    "x-authentik-name",
    "x-authentik-uid",
}

-- The headers of a refusal that go to the browser.
local shown = {
    "cache-control",
    "content-security-policy",
    "content-type",
    "location",
    "referrer-policy",
    "retry-after",
    "set-cookie",
    "vary",
    "www-authenticate",
    "x-content-type-options",
}

-- The values of a header in their order, whichever number they start at.
local function values(headers, name)
    local found = headers[name] or {}
    local numbers = {}
    for number in pairs(found) do
        table.insert(numbers, number)
    end
    table.sort(numbers)
    local all = {}
    for _, number in ipairs(numbers) do
        table.insert(all, found[number])
    end
    return all
end

local function refuse(txn, status, headers, body)
    local reply = txn:reply()
    reply:set_status(status)
    for _, name in ipairs(shown) do
        for _, value in ipairs(values(headers, name)) do
            reply:add_header(name, value)
        end
    end
    reply:set_body(body)
    txn:done(reply)
end

core.register_action("gatepost", { "http-req" }, function(txn, outpost)
    local request = txn.http:req_get_headers()
    local headers = {}
    for name in pairs(request) do
        if not dropped[name] then
            headers[name] = values(request, name)
        end
    end
    headers["x-forwarded-method"] = { txn.sf:method() }
    headers["x-forwarded-proto"] = { txn.f:ssl_fc() == 1 and "https" or "http" }
    -- All of the line: `req_hdr` takes a comma for the beginning of another value, and the last one.
    -- The outpost refuses a value that is not one host.
    headers["x-forwarded-host"] = { txn.sf:req_fhdr("host") }
    headers["x-forwarded-uri"] = { txn.sf:pathq() }
    -- The client's address, for `rateLimit`.
    headers["x-forwarded-for"] = { txn.sf:src() }

    local answer = core.httpclient():get{ url = outpost .. "/akprox/auth/traefik", headers = headers }
    if not answer or not answer.status or answer.status == 0 then
        refuse(txn, 503, {}, "The outpost cannot be reached.\n")
    elseif answer.status < 200 or answer.status >= 300 then
        refuse(txn, answer.status, answer.headers or {}, answer.body or "")
    end

    for _, name in ipairs(identity) do
        txn.http:req_del_header(name)
        for _, value in ipairs(values(answer.headers, name)) do
            txn.http:req_add_header(name, value)
        end
    end
    txn:set_priv(values(answer.headers, "set-cookie"))
end, 1)

core.register_action("gatepost-cookies", { "http-res" }, function(txn)
    for _, cookie in ipairs(txn:get_priv() or {}) do
        txn.http:res_add_header("set-cookie", cookie)
    end
end, 0)

-- The Lua libraries of the controller's image that Debian has no package of. The controller's own Lua
-- requires each of them when it is loaded, and uses what has no code here for Ingresses that these
-- tests have none of: sessions that stick to a pod, shares by hash, OCSP, global rate limits, and
-- Services of the type ExternalName.
for _, name in ipairs({ "chash", "cookie", "global_throttle", "http", "ipmatcher" }) do
  package.preload["resty." .. name] = function() return {} end
end

-- Read when `util.dns` is loaded.
package.preload["resty.dns.resolver"] = function() return { TYPE_A = 1, TYPE_AAAA = 28 } end

-- Made when `balancer.ewma` is loaded.
package.preload["resty.lock"] = function() return { new = function() return {} end } end

-- Each backend's pods, one after another. `balancer.resty` compares `nodes`.
package.preload["resty.roundrobin"] = function()
  local RoundRobin = {}
  RoundRobin.__index = RoundRobin

  function RoundRobin:new(nodes)
    local own = setmetatable({}, RoundRobin)
    own:reinit(nodes)
    return own
  end

  function RoundRobin:reinit(nodes)
    self.nodes, self.names, self.last = nodes, {}, 0
    for name in pairs(nodes) do table.insert(self.names, name) end
  end

  function RoundRobin:find()
    self.last = self.last % #self.names + 1
    return self.names[self.last]
  end

  return RoundRobin
end

/** Settings with the profile they name laid under them: default < profile < environment < flag. Reading one loads a YAML reader, so it is done late. */
import type { Profile } from '../config/profile.ts'
import { readWay } from './join-way.ts'
import { readListen, type Setting, type Settings } from './settings.ts'

export interface ProfiledSettings {
  readonly settings: Settings
  readonly profile: Profile
}

/** @throws ORCH_USAGE naming what is wrong with the profile */
export async function withProfile(settings: Settings, cwd: string): Promise<ProfiledSettings> {
  const named = settings.profile.value
  if (named === undefined) return { settings, profile: {} }
  const { readProfile } = await import('../config/profile.ts')
  const profile = readProfile(named, cwd)
  const under = <T>(setting: Setting<T>, value: T | undefined): Setting<T> =>
    setting.origin === 'default' && value !== undefined
      ? { value, origin: 'profile', source: named }
      : setting
  return {
    settings: {
      ...settings,
      slots: under(settings.slots, profile.slots),
      name: under(settings.name, profile.name),
      http: under(settings.http, profile.http),
      backend: under(settings.backend, profile.backend),
      capabilities: under(settings.capabilities, profile.capabilities),
      listen: under(
        settings.listen,
        profile.listen?.map((text) => readListen(text, `listen of profile ${named}`)),
      ),
      join: under(
        settings.join,
        profile.join?.map((text) => readWay(text, `join of profile ${named}`)),
      ),
    },
    profile,
  }
}

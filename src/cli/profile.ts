/** Settings with the profile they name laid under them: default < profile < environment < flag. Reading one loads a YAML reader, so it is done late. */
import type { Profile } from '../config/profile.ts'
import type { Setting, Settings } from './settings.ts'

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
    },
    profile,
  }
}
